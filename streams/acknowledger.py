"""Acknowledging in order (design section 5, 5).

Faust commits past offsets that were never acknowledged. So event N of a partition is acknowledged only after all outputs of every
event up to N are confirmed, whatever the order in which the confirmations arrive.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol


class InvariantBroken(Exception):
    """Events did not come in a row: going on would acknowledge something that was never processed."""


class Entry:
    """One event in flight.

    Attributes:
        offset: its offset.
        acknowledge: what to call once it and all before it are confirmed.
        confirmed: whether its own outputs are.
    """

    __slots__ = ("acknowledge", "confirmed", "offset", "row")

    def __init__(self, row: Row, offset: int, acknowledge: Callable[[], object]) -> None:
        self.row = row
        self.offset = offset
        self.acknowledge = acknowledge
        self.confirmed = False


class Row:
    """The events in flight of one partition during one assignment. Pure.

    Attributes:
        generation: of the consumer group when the partition was assigned.
        first: where the group goes on: no later event may be the first one. None where nobody knows.
        dropped: True after revocation; late confirmations are then ignored.
    """

    __slots__ = ("_entries", "_last", "dropped", "first", "generation")

    def __init__(self, generation: int, first: int | None = None) -> None:
        self.generation = generation
        self.first = first
        self.dropped = False
        self._entries: deque[Entry] = deque()
        self._last: int | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, offset: int, acknowledge: Callable[[], object]) -> Entry:
        """Take an event in.

        Args:
            offset: its offset, the one after the last begun.
            acknowledge: called once it and all before it are confirmed.

        Returns:
            Its entry, for ``confirm``.

        Raises:
            InvariantBroken: when the offset is not the next one.
        """
        if self._last is not None and offset != self._last + 1:
            raise InvariantBroken(f"offset {offset} came after {self._last}")
        if self._last is None and self.first is not None and offset > self.first:
            raise InvariantBroken(f"offset {offset} came first, although {self.first} is the next one of its partition")
        self._last = offset
        entry = Entry(self, offset, acknowledge)
        self._entries.append(entry)
        return entry

    def confirm(self, entry: Entry) -> int:
        """Mark an event's outputs as confirmed and acknowledge all that can be, in order.

        Args:
            entry: what ``begin`` gave.

        Returns:
            How many events were acknowledged; 0 after the row was dropped.
        """
        entry.confirmed = True
        entries = self._entries
        count = 0
        while entries and entries[0].confirmed:
            entries.popleft().acknowledge()
            count += 1
        return count

    def drop(self) -> int:
        """Forget everything in flight.

        Returns:
            How many events were in flight.
        """
        count = len(self._entries)
        self.dropped = True
        self._entries.clear()
        return count


class Message(Protocol):
    """What the acknowledger must know of Faust's message."""

    partition: int
    offset: int
    generation_id: int | None


class Event(Protocol):
    """What the acknowledger must know of Faust's event."""

    @property
    def message(self) -> Message:
        """The Kafka record."""

    def ack(self) -> object:
        """Let Faust commit it."""


GoesOn = Callable[[int, int], Awaitable[int]]
"""From partition and generation to the offset at which the group goes on."""


class Acknowledger:
    """The rows of one topic, bounded: a slow Kafka stops the consuming, not the memory."""

    def __init__(self, limit: int, on_change: Callable[[int], None] = lambda count: None, goes_on: GoesOn | None = None) -> None:
        """Prepare it.

        Args:
            limit: events of the topic in flight at most.
            on_change: told the number in flight.
            goes_on: tells where a partition goes on. Faust can hand over, after a rebalance, an event that was fetched before
                it and lies further on; alone in its row it would be acknowledged, and committed past those before it.
        """
        self._limit = limit
        self._on_change = on_change
        self._goes_on = goes_on
        self._rows: dict[int, Row] = {}
        self._in_flight = 0
        self._room = asyncio.Event()
        self._room.set()

    async def begin(self, event: Event) -> Entry:
        """Wait for room, then take an event in.

        Args:
            event: from ``stream.noack().events()``, in the order of its partition.

        Returns:
            Its entry; give it to ``confirm`` once all outputs are confirmed.

        Raises:
            InvariantBroken: when an offset was left out; the process must stop, unacknowledged.
        """
        while not self._room.is_set():
            await self._room.wait()
        message = event.message
        generation = message.generation_id or 0
        row = self._rows.get(message.partition)
        if row is None or row.generation != generation:
            if row is not None:
                self.drop((message.partition,))
            row = self._rows[message.partition] = Row(generation)
            if self._goes_on is not None:
                row.first = await self._goes_on(message.partition, generation)
        entry = row.begin(message.offset, event.ack)
        if not row.dropped:  # it may have been revoked meanwhile
            self._count(1)
        return entry

    def confirm(self, entry: Entry) -> None:
        """Say that all outputs of an event are confirmed; a late word about a revoked partition is ignored."""
        if not entry.row.dropped:
            self._count(-entry.row.confirm(entry))

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget partitions that were revoked; their unacknowledged events come again, here or elsewhere.

        Args:
            partitions: of this topic.
        """
        for partition in partitions:
            row = self._rows.pop(partition, None)
            if row is not None:
                self._count(-row.drop())

    def _count(self, change: int) -> None:
        self._in_flight += change
        if self._in_flight < self._limit:
            self._room.set()
        else:
            self._room.clear()
        self._on_change(self._in_flight)
