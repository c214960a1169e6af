"""Brings devices what later stages have to tell them: ``agora.down.v1`` to ``…/down/…``."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from contracts import down
from contracts.ids import is_name
from contracts.mqtt import COMMANDS, ERRORS, down_topic
from contracts.topics import DOWN
from ingest import events
from ingest.window import Window
from runtime import kafka
from runtime.settings import KafkaSettings

GROUP = "agora-bridge"
RETRY_SECONDS = 1.0
MOST_RECORDS = 500
REFUSED = 0x80
"""Reason codes from here on say that the broker did not take it (MQTT 5, 2.4)."""


def errand(value: bytes | None) -> tuple[bytes, bytes] | None:
    """Read a record of ``agora.down.v1``.

    Args:
        value: the record's value.

    Returns:
        MQTT topic and payload, or None where the record is not what its contract says: nothing but a device's own topic is ever
        published on.
    """
    try:
        record = down.decode_record(value or b"")
    except msgspec.DecodeError:
        return None
    if record.what not in (ERRORS, COMMANDS) or not (is_name(record.org) and is_name(record.device)):
        return None
    return down_topic(record.org, record.device, record.what).encode(), down.encode(record.payload)


class Errands:
    """Reads the topic, publishes, and commits what the broker took."""

    def __init__(self, settings: KafkaSettings, window: Window) -> None:
        self._settings = settings
        self._window = window

    async def run(self) -> None:
        """Go on until cancelled; a Kafka that is away is waited for."""
        while True:
            consumer = kafka.consumer(self._settings, GROUP, DOWN.name, fetch_max_wait_ms=kafka.PROMPT_MILLISECONDS)
            try:
                await consumer.start()
                await self._follow(consumer)
            except (KafkaError, OSError) as error:
                events.DOWN_INTERRUPTED.emit(reason=type(error).__name__)
            finally:
                await consumer.stop()
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            batches = await consumer.getmany(timeout_ms=500, max_records=MOST_RECORDS)
            records = [record for batch in batches.values() for record in batch]
            if records:
                await self._publish(records)
                await consumer.commit()

    async def _publish(self, records: list[Any]) -> None:
        waiting: list[asyncio.Future[int]] = []
        for record in records:
            found = errand(record.value)
            if found is None:
                events.DOWN_UNREADABLE.emit(partition=record.partition, offset=record.offset)
                continue
            taken: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._window.publish(*found, done=partial(_taken, taken))
            waiting.append(taken)
        reasons = await asyncio.gather(*waiting)
        refused = sum(reason >= REFUSED for reason in reasons)
        if refused:
            events.DOWN_REFUSED.emit(refused)
        events.ERRORS_FORWARDED.emit(len(reasons) - refused)


def _taken(taken: asyncio.Future[int], reason: int) -> None:
    if not taken.done():
        taken.set_result(reason)
