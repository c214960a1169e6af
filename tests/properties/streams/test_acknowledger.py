from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.acknowledger import Row


@given(st.integers(0, 40).flatmap(lambda count: st.permutations(range(count))), st.integers(0, 10**12))
def test_whatever_the_order_of_confirmations_offsets_are_acknowledged_in_order_and_never_early(
    order: list[int], start: int
) -> None:
    acknowledged: list[int] = []
    row = Row(1)
    entries = [
        row.begin(start + number, lambda number=number: acknowledged.append(number))  # type: ignore[misc]
        for number in range(len(order))
    ]
    confirmed: set[int] = set()
    for number in order:
        row.confirm(entries[number])
        confirmed.add(number)
        longest = next(length for length in range(len(order) + 1) if length not in confirmed)
        assert acknowledged == list(range(longest))
    assert len(row) == 0
