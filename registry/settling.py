"""The second look at readings of a corrected period: those that were in flight when the correction was made."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from contracts.topics import VITALS
from registry import events
from registry.settlement import SETTLE, late_after
from runtime import kafka
from runtime.settings import DatabaseSettings, KafkaSettings

Connection = AsyncConnection[tuple[Any, ...]]
LOOK_SECONDS = 2.0
KNOWN_SECONDS = 3.0
"""After this long, processors that run have taken in a confirmed record (they read it within a fraction of a second), and
what they made before stands in the vitals topic.
"""


class Settling:
    """Looks after open settlements as long as this keeper leads."""

    def __init__(self, database: DatabaseSettings, kafka_settings: KafkaSettings) -> None:
        self._database = database
        self._kafka = kafka_settings

    async def run(self) -> None:
        """Settle until a server fails to answer.

        Raises:
            psycopg.Error, KafkaError: a server did not answer.
        """
        async with await AsyncConnection.connect(self._database.conninfo(), autocommit=True) as connection:
            while True:
                await self._set_barriers(connection)
                await _settle(connection)
                await asyncio.sleep(LOOK_SECONDS)

    async def _set_barriers(self, connection: Connection) -> None:
        """Note, for settlements whose correction every processor knows by now, what the store must have passed."""
        waiting = await connection.execute(
            "SELECT settlement_id FROM settlements s LEFT JOIN outbox o ON o.version = s.version"
            " WHERE s.done_at IS NULL AND s.barrier IS NULL"
            " AND (o.version IS NULL OR o.published_at < now() - make_interval(secs => %s))",
            (KNOWN_SECONDS,),
        )
        numbers = [number for (number,) in await waiting.fetchall()]
        if numbers:
            barrier = Jsonb({str(partition): end for partition, end in (await self._ends()).items()})
            await connection.execute("UPDATE settlements SET barrier = %s WHERE settlement_id = ANY(%s)", (barrier, numbers))

    async def _ends(self) -> dict[int, int]:
        reader: AIOKafkaConsumer = kafka.consumer(self._kafka, None)
        try:
            await reader.start()
            partitions = [TopicPartition(VITALS.name, number) for number in range(VITALS.partitions)]
            return {partition.partition: end for partition, end in (await reader.end_offsets(partitions)).items()}
        finally:
            await reader.stop()


async def _settle(connection: Connection) -> None:
    rows = await connection.execute(
        "SELECT s.settlement_id, s.device_key, d.model, s.starts_at, s.ends_at, s.barrier::text FROM settlements s"
        " JOIN devices d USING (device_key) WHERE s.done_at IS NULL AND s.barrier IS NOT NULL ORDER BY s.settlement_id"
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
    return all(stored.get(int(partition), 0) >= end for partition, end in barrier.items())
