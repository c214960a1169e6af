"""Laws of the date search and of cursors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.instants import from_datetime
from sharing.fhir.cursor import CursorSeal, ObservationPlace
from sharing.fhir.dates import Span, parse_date
from sharing.fhir.problem import SearchProblem

SEAL = CursorSeal(b"k" * 32)
moments = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))
offsets = st.integers(-14 * 60 + 1, 14 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))
lengths = st.sampled_from((4, 7, 10, 16, 19, 21, 23, 26))
bigints = st.integers(-(2**63), 2**63 - 1)


def holds(text: str, instant: int) -> bool:
    span = parse_date(text)
    return span.start <= instant < span.end


@given(moments, lengths)
def test_a_date_cut_anywhere_holds_the_moment_it_was_cut_from(moment: datetime, length: int) -> None:
    assert holds(moment.replace(tzinfo=None).isoformat(timespec="microseconds")[:length], from_datetime(moment))


@given(moments, offsets)
def test_the_offset_of_a_date_does_not_move_the_moment(moment: datetime, offset: timezone) -> None:
    assert holds(moment.astimezone(offset).isoformat(timespec="microseconds"), from_datetime(moment))


@given(moments, lengths, moments)
def test_prefixes_split_time_without_gap_or_overlap(date: datetime, length: int, moment: datetime) -> None:
    text = date.replace(tzinfo=None).isoformat(timespec="microseconds")[:length]
    instant = from_datetime(moment)

    assert [holds("lt" + text, instant), holds("eq" + text, instant), holds("gt" + text, instant)].count(True) == 1
    assert holds("le" + text, instant) == (not holds("gt" + text, instant))
    assert holds("ge" + text, instant) == (not holds("lt" + text, instant))


@given(st.text(max_size=40))
def test_any_text_is_a_date_or_refused_in_words(text: str) -> None:
    refusals: list[str] = []
    try:
        assert isinstance(parse_date(text), Span)
    except SearchProblem as problem:
        refusals.append(problem.words)
    assert all(refusals)


@given(st.builds(ObservationPlace, *[bigints] * 6), st.binary(max_size=64))
def test_a_sealed_place_comes_back_as_it_was(place: ObservationPlace, search: bytes) -> None:
    assert SEAL.open(SEAL.seal(place, search), ObservationPlace, search) == place


@given(st.builds(ObservationPlace, *[bigints] * 6), st.data())
def test_a_cursor_with_any_character_changed_is_refused(place: ObservationPlace, data: st.DataObject) -> None:
    cursor = SEAL.seal(place, b"")
    position = data.draw(st.integers(0, len(cursor) - 2))
    other = data.draw(st.sampled_from("ABCDEFGHabcdefgh0123-_").filter(lambda letter: letter != cursor[position]))

    with pytest.raises(SearchProblem):
        SEAL.open(cursor[:position] + other + cursor[position + 1 :], ObservationPlace, b"")
