"""An instant in text is the same moment, to the microsecond, over all the years that have one."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.instants import SECOND, from_datetime, to_text

FIRST = from_datetime(datetime(1, 1, 1, tzinfo=UTC))
LAST = from_datetime(datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))


@given(
    st.integers(FIRST, LAST) | st.integers(-3, 3) | st.integers(FIRST // SECOND, LAST // SECOND).map(lambda whole: whole * SECOND)
)
def test_an_instant_in_text_is_the_same_moment(instant: int) -> None:
    text = to_text(instant)
    assert from_datetime(datetime.fromisoformat(text)) == instant
    assert (len(text), text[-1]) == (len("2026-11-22T10:00:00.250000Z"), "Z")


@pytest.mark.parametrize("instant", [FIRST - 1, LAST + 1])
def test_an_instant_outside_the_years_that_have_a_text_says_so(instant: int) -> None:
    with pytest.raises(OverflowError):
        to_text(instant)
