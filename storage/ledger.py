"""The ledger: a balance in which every message is accounted for.

Definitions, all in messages. A *raw record* is a record of ``agora.raw.v1``; it has been *entered* when its row stands in
``ledger_raw``; the *top* of a partition is the offset behind the last one entered.

- **received**: what the entered raw records say, and the counts in the headers of those that are not entered.
- **replayed**: messages that went through once more, from quarantine or a hole; each has one more outcome, and is not
  received again.
- **stored, duplicate, quarantined**: outcomes of the normaliser (duplicate, quarantined) and of the store (all three).
- **in flight**, measured in Kafka and not derived from the rest: the counts in the headers of raw records at or beyond the
  top, less those of their messages that are stored already; and the messages of entered raw records for which a vitals
  record accounts that stands beyond the store's position.
- **holes**: raw records below the top that were never entered. Their messages are received and have no outcome, so they
  show as a difference until the keeper sends them through again. (Their row is then marked ``resent``, and what the store
  had counted for them is left out here, since the second pass counts it.)
- **difference** = received + replayed - stored - duplicate - quarantined - in flight. While things move it can differ from
  0 for a moment, since database and Kafka are not read in the same instant; the ledger is **closed** when the difference
  is 0 at lag 0.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from psycopg import AsyncConnection

from contracts.frames import count_of
from contracts.topics import ALERTS, LEDGER, PARTITIONS, QUARANTINE, RAW, VITALS
from runtime.settings import DatabaseSettings, KafkaSettings
from storage.database import connect, translated
from storage.log_reads import Log, open_log
from storage.pieces import Source, sources_of

STORED_TOPICS = (VITALS, LEDGER, QUARANTINE, ALERTS)
POLL_SECONDS = 0.3
RawKey = tuple[int, int]
"""Partition and offset of a raw record."""


class Hole(NamedTuple):
    """Raw records ``first`` to ``last`` of a partition that were passed over."""

    partition: int
    first: int
    last: int


@dataclass(frozen=True)
class Closing:
    """The ledger's balance, in messages; see the module for what each word means.

    Attributes:
        received: messages that came.
        replayed: messages sent through again.
        stored: messages of which a reading was stored.
        duplicate: messages known already, by normaliser and store.
        quarantined: messages refused, by normaliser and store.
        in_flight: messages on their way.
        holes: raw records that were passed over.
        lag: records by topic that are not in the database yet; for the raw topic, those not entered.
    """

    received: int
    replayed: int
    stored: int
    duplicate: int
    quarantined: int
    in_flight: int
    holes: tuple[Hole, ...] = ()
    lag: dict[str, int] = field(default_factory=dict)

    @property
    def difference(self) -> int:
        """Messages that are not accounted for."""
        return self.received + self.replayed - self.stored - self.duplicate - self.quarantined - self.in_flight

    @property
    def settled(self) -> bool:
        """Whether everything that came is in the database."""
        return not any(self.lag.values())

    @property
    def closed(self) -> bool:
        """Whether everything came to an end and nothing is missing."""
        return self.settled and self.difference == 0 and not self.holes


@dataclass(frozen=True)
class _Books:
    """The database's side, of one instant."""

    received: int
    replayed: int
    stored: int
    duplicate: int
    quarantined: int
    positions: dict[tuple[str, int], int]
    tops: dict[int, int]
    holes: tuple[Hole, ...]
    ahead: dict[RawKey, int]

    def entered(self, source: Source) -> bool:
        """Tell whether a raw record has its row."""
        partition, offset, _ = source
        return offset < self.tops[partition] and not any(
            hole.partition == partition and hole.first <= offset <= hole.last for hole in self.holes
        )


async def closing(database: DatabaseSettings, kafka: KafkaSettings) -> Closing:
    """Take the balance.

    Args:
        database: as a role that reads the ledger.
        kafka: as a user that reads raw and vitals records.

    Returns:
        The balance now.

    Raises:
        Unavailable: one of them does not answer.
    """
    connection = await connect(database)
    try:
        async with open_log(kafka) as log:
            return await _balance(connection, log)
    finally:
        await connection.close()


async def settle(database: DatabaseSettings, kafka: KafkaSettings, seconds: float) -> Closing:
    """Wait until everything that came is in the database, or the time is over.

    Args:
        database: as for ``closing``.
        kafka: as for ``closing``.
        seconds: how long to wait at most.

    Returns:
        The last balance; ``settled`` tells whether lag was 0.
    """
    deadline = time.monotonic() + seconds
    connection = await connect(database)
    try:
        async with open_log(kafka) as log:
            while True:
                found = await _balance(connection, log)
                if (found.settled and found.difference == 0) or time.monotonic() >= deadline:
                    return found
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await connection.close()


async def _balance(connection: AsyncConnection, log: Log) -> Closing:
    with translated():
        books = await _read_books(connection)
    ends = await log.ends((RAW, *STORED_TOPICS))
    beyond = await _count_raw(log, books, ends)
    missing = await _count_holes(log, books.holes)
    unstored = await _count_unstored(connection, log, books, ends)
    waiting = sum(beyond.values()) - sum(number for key, number in books.ahead.items() if key in beyond)
    lag = {topic.name: 0 for topic in (RAW, *STORED_TOPICS)}
    for (topic, partition), end in ends.items():
        position = books.tops[partition] if topic == RAW.name else books.positions.get((topic, partition), 0)
        lag[topic] += max(0, end - position)
    return Closing(
        received=books.received + sum(beyond.values()) + missing,
        replayed=books.replayed,
        stored=books.stored,
        duplicate=books.duplicate,
        quarantined=books.quarantined,
        in_flight=waiting + unstored,
        holes=books.holes,
        lag=lag,
    )


_TOTALS = """
SELECT coalesce(sum(received), 0)::bigint, coalesce(sum(replayed), 0)::bigint, coalesce(sum(stored), 0)::bigint,
    coalesce(sum(duplicate_normalise + duplicate_store), 0)::bigint,
    coalesce(sum(quarantined_normalise + quarantined_store), 0)::bigint
FROM ledger_devices"""
_SUPERSEDED = """
SELECT coalesce(sum(messages_stored), 0)::bigint, coalesce(sum(messages_duplicate), 0)::bigint,
    coalesce(sum(messages_quarantined), 0)::bigint
FROM ledger_stored JOIN ledger_raw USING (raw_partition, raw_offset) WHERE resent"""
_TOPS = """
SELECT n.partition, greatest(coalesce((SELECT max(raw_offset) + 1 FROM ledger_raw r WHERE r.raw_partition = n.partition), 0),
    coalesce((SELECT next FROM ledger_marks m WHERE m.raw_partition = n.partition), 0))
FROM generate_series(0, %s - 1) AS n(partition)"""
_HOLES = """
WITH entered AS (
    SELECT r.raw_partition AS partition, r.raw_offset AS entered_offset,
        lag(r.raw_offset, 1, coalesce(m.next, 0) - 1) OVER (PARTITION BY r.raw_partition ORDER BY r.raw_offset) AS before
    FROM ledger_raw r LEFT JOIN ledger_marks m USING (raw_partition) WHERE r.raw_offset >= coalesce(m.next, 0)
)
SELECT partition, before + 1, entered_offset - 1 FROM entered WHERE entered_offset > before + 1 ORDER BY 1, 2 LIMIT %s"""
_AHEAD = """
SELECT s.raw_partition, s.raw_offset, sum(messages_stored + messages_duplicate + messages_quarantined)::bigint
FROM ledger_stored s LEFT JOIN ledger_marks m USING (raw_partition)
WHERE s.raw_offset >= coalesce(m.next, 0)
    AND NOT EXISTS (SELECT FROM ledger_raw r WHERE (r.raw_partition, r.raw_offset) = (s.raw_partition, s.raw_offset))
GROUP BY 1, 2"""
_KNOWN = """
SELECT s.raw_partition, s.raw_offset, s.vitals_partition FROM ledger_stored s
JOIN unnest(%s::int[], %s::bigint[], %s::int[]) AS n(p, o, v)
    ON (s.raw_partition, s.raw_offset, s.vitals_partition) = (n.p, n.o, n.v)"""
MOST_HOLES = 1_000


async def _read_books(connection: AsyncConnection) -> _Books:
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        totals = await (await connection.execute(_TOTALS)).fetchone()
        superseded = await (await connection.execute(_SUPERSEDED)).fetchone()
        assert totals is not None, "an aggregate gives a row"
        assert superseded is not None, "an aggregate gives a row"
        positions = await (await connection.execute("SELECT topic, partition, next FROM offsets")).fetchall()
        tops = await (await connection.execute(_TOPS, (PARTITIONS,))).fetchall()
        holes = await (await connection.execute(_HOLES, (MOST_HOLES,))).fetchall()
        ahead = await (await connection.execute(_AHEAD)).fetchall()
    received, replayed, *outcomes = totals
    stored, duplicate, quarantined = (counted - again for counted, again in zip(outcomes, superseded, strict=True))
    return _Books(
        received, replayed, stored, duplicate, quarantined,
        positions={(topic, partition): following for topic, partition, following in positions},
        tops=dict(tops),
        holes=tuple(Hole(*hole) for hole in holes),
        ahead={(partition, offset): messages for partition, offset, messages in ahead},
    )  # fmt: skip


async def _count_raw(log: Log, books: _Books, ends: dict[tuple[str, int], int]) -> dict[RawKey, int]:
    """Count the messages of the raw records that are not entered yet, by the headers."""
    spans = {partition: (top, ends[RAW.name, partition]) for partition, top in books.tops.items()}
    return {(one.partition, one.offset): count_of(one.headers) async for one in log.read(RAW, spans)}


async def _count_holes(log: Log, holes: Iterable[Hole]) -> int:
    """Count the messages of the raw records that were passed over, as far as Kafka still holds them."""
    stretches: dict[int, list[range]] = {}
    for hole in holes:
        stretches.setdefault(hole.partition, []).append(range(hole.first, hole.last + 1))
    spans = {partition: (found[0].start, found[-1].stop) for partition, found in stretches.items()}
    total = 0
    async for record in log.read(RAW, spans):
        if any(record.offset in stretch for stretch in stretches[record.partition]):
            total += count_of(record.headers)
    return total


async def _count_unstored(connection: AsyncConnection, log: Log, books: _Books, ends: dict[tuple[str, int], int]) -> int:
    """Count the messages of entered raw records whose vitals record the store has still to read."""
    spans = {number: (books.positions.get((VITALS.name, number), 0), ends[VITALS.name, number]) for number in range(PARTITIONS)}
    found: dict[Source, int] = {}
    async for record in log.read(VITALS, spans):
        try:
            origins = sources_of(record)
        except ValueError:
            continue  # unreadable: the store will set it aside whole and count it so
        for source, origin in origins:
            if books.entered(source):
                found.setdefault(source, origin.messages)
    if not found:
        return 0
    arrays = [list(column) for column in zip(*found, strict=True)]
    with translated():
        known = await (await connection.execute(_KNOWN, arrays)).fetchall()
    return sum(found.values()) - sum(found[Source(*row)] for row in known)
