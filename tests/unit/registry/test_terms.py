import pytest

from cli.registry_terms import instant, offset, offset_words
from contracts.instants import DAY, HOUR, MINUTE, SECOND
from registry.refusal import Refused


@pytest.mark.parametrize(
    ("text", "microseconds"), [("+1h30m", HOUR + 30 * MINUTE), ("-90s", -90 * SECOND), ("+2d1s", 2 * DAY + SECOND)]
)
def test_an_offset_is_read_as_people_write_it(text: str, microseconds: int) -> None:
    assert offset(text) == microseconds
    assert offset(offset_words(microseconds)) == microseconds


@pytest.mark.parametrize("text", ["", "1h", "+", "+1", "+1y", "+1h x", "--1h"])
def test_what_is_no_offset_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Refused, match="\\+1h30m"):
        offset(text)


def test_a_time_without_an_offset_from_utc_is_never_guessed() -> None:
    assert instant("1970-01-01T00:00:01Z", "--from") == SECOND
    assert instant(None, "--from") is None
    with pytest.raises(Refused, match="no offset from UTC"):
        instant("2026-11-22T10:00", "--from")
    with pytest.raises(Refused, match="is no time"):
        instant("yesterday", "--from")
