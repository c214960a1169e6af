import pytest

from catalogue import units
from catalogue.registry import BY_CODE
from contracts.errors import Code, Rejected


def test_the_grammar_of_units_is_read_once_however_many_are_unknown() -> None:
    assert not any(units.is_ucum(f"nothing-{number}?") for number in range(50))
    assert units.ucum_parser.cache_info().misses == 1


def test_a_unit_too_long_to_be_one_is_refused_without_parsing_it() -> None:
    parsed = units.is_ucum.cache_info().misses
    for number in range(50):
        with pytest.raises(Rejected) as refused:
            units.conversion_for(BY_CODE["8867-4"], "m.s/kg." * 8 + str(number))
        assert refused.value.code is Code.UNIT_UNKNOWN
    assert units.is_ucum.cache_info().misses == parsed


def test_every_unit_that_may_be_sent_is_short_enough_to_be_judged() -> None:
    assert max(len(unit) for vital in BY_CODE.values() for unit in vital.units) <= units.LONGEST_JUDGED
