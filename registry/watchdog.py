"""The ledger's watchdog: a raw record without a ledger row, while later ones have theirs, was skipped and is sent through again.

Order of one repair: the messages are sent again and confirmed, then the row is written that marks the hole as resent. A kill
between the two sends them twice: the second time they are duplicates, which the books count as replayed and duplicate, and
the store's unique index refuses; the ledger closes either way.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord
from psycopg import AsyncConnection

from contracts import frames
from contracts.frames import Coordinates
from contracts.instants import hour_of, to_datetime
from contracts.topics import RAW
from registry import events, holes
from registry.leadership import Leadership, LeadershipLost
from registry.settings import KeeperSettings
from runtime import clock, kafka
from runtime.settings import DatabaseSettings, KafkaSettings

Connection = AsyncConnection[tuple[Any, ...]]
LIMIT = 200
"""Holes looked at in one round and partition."""
READ_SECONDS = 10.0


class Watchdog:
    """Watches the ledger as long as this keeper leads."""

    def __init__(
        self, settings: KeeperSettings, database: DatabaseSettings, kafka_settings: KafkaSettings, leadership: Leadership
    ) -> None:
        self._settings = settings
        self._database = database
        self._kafka = kafka_settings
        self._leadership = leadership
        self._patience = holes.Patience(settings.hole_seconds)
        self._told: set[tuple[int, int]] = set()

    async def run(self) -> None:
        """Watch until a server fails to answer.

        Raises:
            LeadershipLost: the lock is in doubt.
            psycopg.Error, KafkaError, TimeoutError: a server did not answer.
        """
        async with await AsyncConnection.connect(self._database.conninfo(), autocommit=True) as connection:
            while True:
                await self._look(connection)
                await asyncio.sleep(self._settings.watch_seconds)

    async def _look(self, connection: Connection) -> None:
        missing: list[tuple[int, int]] = []
        for partition in range(RAW.partitions):
            missing += await self._missing(connection, partition)
        ripe = self._patience.ripe(missing, time.monotonic())
        events.HOLES_OPEN.set(len(ripe))
        new = set(ripe) - self._told
        if new:
            events.HOLES_FOUND.emit(amount=len(new), holes=[f"{partition}/{offset}" for partition, offset in sorted(new)[:20]])
        self._told = set(ripe)
        if ripe:
            await self._resend(connection, ripe)

    async def _missing(self, connection: Connection, partition: int) -> list[tuple[int, int]]:
        row = await (await connection.execute("SELECT next FROM ledger_marks WHERE raw_partition = %s", (partition,))).fetchone()
        start = int(row[0]) if row is not None else await self._beginning(partition)
        stretches = await connection.execute(
            "SELECT min(raw_offset), max(raw_offset) FROM"
            " (SELECT raw_offset, raw_offset - row_number() OVER (ORDER BY raw_offset) AS stretch FROM ledger_raw"
            "  WHERE raw_partition = %s AND raw_offset >= %s) numbered GROUP BY stretch ORDER BY 1",
            (partition, start),
        )
        found = holes.gaps(start, [holes.Known(*each) for each in await stretches.fetchall()], LIMIT)
        if found.next > start or row is None:
            await connection.execute(
                "INSERT INTO ledger_marks (raw_partition, next) VALUES (%s, %s)"
                " ON CONFLICT (raw_partition) DO UPDATE SET next = greatest(ledger_marks.next, excluded.next)",
                (partition, found.next),
            )
        return [(partition, offset) for offset in found.offsets]

    async def _beginning(self, partition: int) -> int:
        """Find the first record Kafka still has, for a ledger that is watched for the first time."""
        reader = kafka.consumer(self._kafka, None)
        try:
            await reader.start()
            place = TopicPartition(RAW.name, partition)
            return int((await reader.beginning_offsets([place]))[place])
        finally:
            await reader.stop()

    async def _resend(self, connection: Connection, ripe: list[tuple[int, int]]) -> None:
        reader = kafka.consumer(self._kafka, None)
        # Not the registry's producer: a transaction leaves a marker among the raw offsets, which would look like a hole.
        producer = kafka.producer(self._kafka)
        try:
            await reader.start()
            await producer.start()
            for partition, offset in ripe:
                if not self._leadership.is_sure():
                    raise LeadershipLost("in doubt")
                await _repair(connection, reader, producer, Coordinates(RAW.name, partition, offset))
        finally:
            await reader.stop()
            await producer.stop()


async def _repair(connection: Connection, reader: AIOKafkaConsumer, producer: AIOKafkaProducer, place: Coordinates) -> None:
    """Send one skipped record's messages through again, then mark it."""
    record = await _read(reader, place)
    if record is None:
        events.HOLE_LOST.emit(place=str(place))
    else:
        value, count = _again(record, place)
        await producer.send_and_wait(RAW.name, value, partition=place.partition, headers=frames.headers(count))
        events.HOLE_RESENT.emit(place=str(place), messages=count)
    hour = hour_of(clock.now() if record is None else record.timestamp * 1000)
    await connection.execute(
        "INSERT INTO ledger_raw (raw_partition, raw_offset, hour, received, replayed, accepted, duplicate, quarantined, readings,"
        "  resent) VALUES (%s, %s, %s, 0, 0, 0, 0, 0, 0, true) ON CONFLICT DO NOTHING",
        (place.partition, place.offset, to_datetime(hour)),
    )


async def _read(reader: AIOKafkaConsumer, place: Coordinates) -> ConsumerRecord[bytes, bytes] | None:
    """Read the record at a place; None where Kafka no longer has it.

    Raises:
        TimeoutError: Kafka did not answer.
    """
    partition = TopicPartition(place.topic, place.partition)
    reader.assign([partition])
    if place.offset < (await reader.beginning_offsets([partition]))[partition]:
        return None
    reader.seek(partition, place.offset)
    async with asyncio.timeout(READ_SECONDS):
        record = await reader.getone(partition)
    return record if record.offset == place.offset else None


def _again(record: ConsumerRecord[bytes, bytes], place: Coordinates) -> tuple[bytes, int]:
    """Give the bytes to send and how many messages they hold.

    A record that is no frame goes as it is: the normaliser quarantines it whole, by the count of its header.
    """
    value = record.value or b""
    try:
        frame = frames.decode_raw(value)
    except msgspec.DecodeError:
        return value, frames.count_of(record.headers)
    return frames.encode(holes.again(frame, place)), len(frame.messages)
