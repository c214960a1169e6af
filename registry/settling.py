"""The second look at readings of a corrected period: those that were in flight when the correction was made.

In three steps: once every worker that goes on knows the correction, the ends of the raw topic are noted; once the workers have
committed those, whatever was made of earlier records without it is confirmed, and the ends of the vitals topic are noted; once
the store has passed those, it is settled.

What a worker that was stopped in between still writes when it wakes is mostly a duplicate by then, which the store refuses. Where
it is none, since the correction left the reading to nobody and no copy is in the way, the store sees that another pass had
accounted for the raw record, and asks for one more settlement (of version 0).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from contracts.topics import RAW, VITALS, Topic
from registry import events
from registry.misplaced import MisplacedAlerts
from registry.settlement import SETTLE, late_after
from runtime import kafka
from runtime.settings import DatabaseSettings, KafkaSettings

Connection = AsyncConnection[tuple[Any, ...]]
LOOK_SECONDS = 2.0
KNOWN_SECONDS = 4.0
"""After this long no worker begins a record without knowing what was confirmed (``streams.knowledge`` lets it be two seconds)."""
RAW_ENDS = "raw"
"""Key of the first kind of barrier; the second is by partition alone."""
WORKERS = "agora-streams"
"""The workers' consumer group."""


class Settling:
    """Looks after open settlements as long as this keeper leads."""

    def __init__(self, database: DatabaseSettings, kafka_settings: KafkaSettings) -> None:
        self._database = database
        self._kafka = kafka_settings
        self._misplaced = MisplacedAlerts(kafka_settings)

    async def run(self) -> None:
        """Settle until a server fails to answer.

        Raises:
            psycopg.Error, KafkaError: a server did not answer.
        """
        async with await AsyncConnection.connect(self._database.conninfo(), autocommit=True) as connection:
            while True:
                await self._note_raw(connection)
                await self._note_vitals(connection)
                await _settle(connection)
                await self._misplaced.look(connection)
                await asyncio.sleep(LOOK_SECONDS)

    async def _note_raw(self, connection: Connection) -> None:
        """Note, for corrections that every worker knows by now, up to where raw records may have been begun without."""
        waiting = await connection.execute(
            "SELECT settlement_id FROM settlements s LEFT JOIN outbox o ON o.version = s.version"
            " WHERE s.done_at IS NULL AND s.barrier IS NULL"
            " AND (o.version IS NULL OR o.published_at < now() - make_interval(secs => %s))",
            (KNOWN_SECONDS,),
        )
        if numbers := [number for (number,) in await waiting.fetchall()]:
            await _note(connection, numbers, {RAW_ENDS: await self._ends(RAW)})

    async def _note_vitals(self, connection: Connection) -> None:
        """Note, where the workers have committed those records, what the store must have passed."""
        waiting = await connection.execute(
            "SELECT settlement_id, barrier -> %s::text FROM settlements WHERE done_at IS NULL AND barrier ? %s::text",
            (RAW_ENDS, RAW_ENDS),
        )
        rows = await waiting.fetchall()
        if not rows:
            return
        committed = await self._committed()
        if numbers := [number for number, ends in rows if _reached(committed, ends)]:
            await _note(connection, numbers, await self._ends(VITALS))

    async def _ends(self, topic: Topic) -> dict[str, int]:
        reader: AIOKafkaConsumer = kafka.consumer(self._kafka, None)
        try:
            await reader.start()
            ends = await reader.end_offsets([TopicPartition(topic.name, number) for number in range(topic.partitions)])
            return {str(partition.partition): end for partition, end in ends.items()}
        finally:
            await reader.stop()

    async def _committed(self) -> dict[int, int]:
        # Assigned by hand: a reader of the group's offsets, not a member of it.
        reader: AIOKafkaConsumer = kafka.consumer(self._kafka, WORKERS)
        try:
            await reader.start()
            partitions = [TopicPartition(RAW.name, number) for number in range(RAW.partitions)]
            reader.assign(partitions)
            return {partition.partition: await reader.committed(partition) or 0 for partition in partitions}
        finally:
            await reader.stop()


async def _note(connection: Connection, numbers: list[int], barrier: dict[str, Any]) -> None:
    await connection.execute("UPDATE settlements SET barrier = %s WHERE settlement_id = ANY(%s)", (Jsonb(barrier), numbers))


def _reached(offsets: Mapping[int, int], ends: Mapping[str, int]) -> bool:
    return all(offsets.get(int(partition), 0) >= end for partition, end in ends.items())


async def _settle(connection: Connection) -> None:
    rows = await connection.execute(
        "SELECT s.settlement_id, s.device_key, d.model, s.starts_at, s.ends_at, s.barrier::text FROM settlements s"
        " JOIN devices d USING (device_key) WHERE s.done_at IS NULL AND NOT s.barrier ? %s::text ORDER BY s.settlement_id",
        (RAW_ENDS,),
    )
    for number, device, model, start, end, barrier in await rows.fetchall():
        if not await _passed(connection, json.loads(barrier)):
            continue
        async with connection.transaction():
            settled = await (await connection.execute(SETTLE, (device, start, end, late_after(model)))).fetchone()
            assert settled is not None
            await connection.execute(
                "UPDATE settlements SET done_at = now(), moved = %s, set_aside = %s WHERE settlement_id = %s", (*settled, number)
            )
        events.READINGS_SETTLED.emit(moved=settled[0], set_aside=settled[1])


async def _passed(connection: Connection, barrier: dict[str, int]) -> bool:
    """Tell whether the store has everything that stood in the vitals topic when the barrier was set."""
    rows = await connection.execute("SELECT partition, next FROM offsets WHERE topic = %s", (VITALS.name,))
    stored: dict[int, int] = dict(await rows.fetchall())
    return _reached(stored, barrier)
