from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from streams.acknowledger import Acknowledger, InvariantBroken, Row


@dataclass
class Record:
    partition: int
    offset: int
    generation_id: int | None = 1


@dataclass
class FakeEvent:
    message: Record
    acknowledged: list[tuple[int, int]] = field(default_factory=list)

    def ack(self) -> object:
        self.acknowledged.append((self.message.partition, self.message.offset))
        return True


def test_an_event_confirmed_early_waits_for_those_before_it() -> None:
    acknowledged: list[int] = []
    row = Row(1)
    entries = [row.begin(offset, lambda offset=offset: acknowledged.append(offset)) for offset in range(5, 9)]  # type: ignore[misc]
    assert row.confirm(entries[2]) == 0
    assert row.confirm(entries[1]) == 0
    assert row.confirm(entries[0]) == 3
    assert acknowledged == [5, 6, 7]
    assert row.confirm(entries[3]) == 1
    assert len(row) == 0


def test_an_offset_that_was_left_out_breaks_the_invariant() -> None:
    row = Row(1)
    row.begin(5, lambda: None)
    with pytest.raises(InvariantBroken, match="7 came after 5"):
        row.begin(7, lambda: None)


async def test_a_late_word_about_a_revoked_partition_is_ignored() -> None:
    acknowledger = Acknowledger(10)
    log: list[tuple[int, int]] = []
    first, second = FakeEvent(Record(0, 3), log), FakeEvent(Record(1, 9), log)
    entry, other = await acknowledger.begin(first), await acknowledger.begin(second)
    acknowledger.drop([0])
    acknowledger.confirm(entry)
    acknowledger.confirm(other)
    assert log == [(1, 9)]


async def test_a_partition_that_comes_back_begins_anew_and_old_confirmations_do_not_count_for_it() -> None:
    acknowledger = Acknowledger(10)
    log: list[tuple[int, int]] = []
    old = [await acknowledger.begin(FakeEvent(Record(0, offset, 1), log)) for offset in (3, 4)]
    new = await acknowledger.begin(FakeEvent(Record(0, 3, 2), log))
    for entry in old:
        acknowledger.confirm(entry)
    assert log == []
    acknowledger.confirm(new)
    assert log == [(0, 3)]


async def test_what_is_in_flight_is_bounded_and_told() -> None:
    told: list[int] = []
    acknowledger = Acknowledger(2, told.append)
    entries = [await acknowledger.begin(FakeEvent(Record(0, offset))) for offset in range(2)]
    waiting = asyncio.create_task(acknowledger.begin(FakeEvent(Record(0, 2))))
    await asyncio.sleep(0)
    assert not waiting.done()
    acknowledger.confirm(entries[0])
    await waiting
    assert told == [1, 2, 1, 2]
