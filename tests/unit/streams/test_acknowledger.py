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


async def test_an_event_fetched_before_a_rebalance_that_lies_further_on_cannot_be_the_first_of_its_partition() -> None:
    asked: list[tuple[int, int]] = []

    async def goes_on(partition: int, generation: int) -> int:
        asked.append((partition, generation))
        return 5

    acknowledger = Acknowledger(10, goes_on=goes_on)
    log: list[tuple[int, int]] = []
    acknowledger.confirm(await acknowledger.begin(FakeEvent(Record(0, 5, 1), log)))
    acknowledger.confirm(await acknowledger.begin(FakeEvent(Record(0, 6, 1), log)))
    with pytest.raises(InvariantBroken, match="9 came first, although 5 is the next one"):
        await acknowledger.begin(FakeEvent(Record(0, 9, 2), log))
    assert log == [(0, 5), (0, 6)]
    assert asked == [(0, 1), (0, 2)]


async def test_an_event_that_was_committed_already_may_come_first_again() -> None:
    async def goes_on(partition: int, generation: int) -> int:
        return 5

    log: list[tuple[int, int]] = []
    acknowledger = Acknowledger(10, goes_on=goes_on)
    acknowledger.confirm(await acknowledger.begin(FakeEvent(Record(0, 4), log)))
    assert log == [(0, 4)]


async def test_a_partition_revoked_while_its_beginning_is_asked_for_acknowledges_nothing() -> None:
    told: list[int] = []

    async def goes_on(partition: int, generation: int) -> int:
        acknowledger.drop([partition])
        return 5

    log: list[tuple[int, int]] = []
    acknowledger = Acknowledger(1, told.append, goes_on)
    acknowledger.confirm(await acknowledger.begin(FakeEvent(Record(0, 5), log)))
    assert log == []
    assert told in ([], [0]), "nothing is in flight that never ends"
