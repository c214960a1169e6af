from datetime import UTC, datetime, timedelta, timezone

import pytest

from bench.chain.history import Stored, shares


@pytest.mark.parametrize("rows", [1, 2, 7, 100, 101])
def test_every_row_is_filled_once_and_each_session_has_a_span_of_its_own(rows: int) -> None:
    found = shares(rows, piece=10, sessions=2)
    numbers = [[n for first, last in share for n in range(first, last + 1)] for share in found]
    assert sorted(numbers[0] + numbers[1]) == list(range(rows))
    assert not numbers[0] or max(numbers[0]) < min(numbers[1])
    assert all(last - first < 10 for share in found for first, last in share)


def test_rows_of_the_day_count_only_while_it_is_that_day_in_utc() -> None:
    evening = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
    stored = Stored(rows=100, today=40, day=evening.date())
    assert stored.in_chunk(evening) == 40
    assert stored.in_chunk(evening + timedelta(minutes=1)) == 0
    assert stored.in_chunk(evening.astimezone(timezone(timedelta(hours=9)))) == 40
