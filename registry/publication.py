"""Writing to the registry topics, as their only writer.

Everything goes through one transactional id: whoever opens a publication ends whatever an earlier leader had begun, and the
broker refuses all that leader may still send when it wakes up. Readers take committed records only. So an old record can
never come to stand behind a newer one, which compaction would then remove.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, ProducerFenced

from contracts.errors import AgoraError
from contracts.registry import HEARTBEAT_KEY, Heartbeat
from contracts.topics import REGISTRY_APPS, REGISTRY_CONSENTS, REGISTRY_DEVICES, REGISTRY_RULES, Topic
from runtime import kafka
from runtime.settings import KafkaSettings

TOPICS: tuple[Topic, ...] = (REGISTRY_DEVICES, REGISTRY_CONSENTS, REGISTRY_APPS, REGISTRY_RULES)
TRANSACTIONAL_ID = "agora-keeper"
TRANSACTION_MS = 5_000
"""After this the broker itself gives up what a dead keeper had begun, and readers go on."""
CONFIRM_SECONDS = 10.0


class Line(NamedTuple):
    """One record to publish."""

    topic: str
    key: str
    value: bytes | None


class TopicReset(AgoraError):
    """A topic's offsets went backwards: it was emptied or made anew, and must be filled again."""


class Fenced(AgoraError):
    """Another keeper has opened a publication: this one leads no more."""


class Publication:
    """A stretch of time in which this keeper alone writes the registry topics."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._last_offsets: dict[str, int] = {}

    async def open(self) -> None:
        """Begin: earlier writers are shut out from here on.

        Raises:
            KafkaError: the broker did not answer, or refused.
            TimeoutError: the broker did not answer in time.
        """
        self._producer = kafka.producer(
            self._settings, transactional_id=TRANSACTIONAL_ID, transaction_timeout_ms=TRANSACTION_MS, metadata_max_age_ms=60_000
        )
        async with asyncio.timeout(CONFIRM_SECONDS):
            await self._producer.start()
            for topic in TOPICS:
                # Known beforehand, so that sends wait for nothing: a fence found between two looks like another error, after
                # which the keeper would begin again and shut out the new leader.
                await self._producer.partitions_for(topic.name)

    async def close(self) -> None:
        """End; never waits long for a broker that is away."""
        if self._producer is None:
            return
        try:
            async with asyncio.timeout(2):
                await self._producer.stop()
        except (KafkaError, OSError, TimeoutError):
            await self._producer.client.close()

    async def survey(self) -> dict[tuple[str, str], bytes]:
        """Read what the topics hold.

        Returns:
            Newest value by topic and key, tombstones and heartbeats left out.
        """
        found: dict[tuple[str, str], bytes] = {}
        reader = kafka.consumer(self._settings, None)
        async with asyncio.timeout(60):
            try:
                await reader.start()
                partitions = [TopicPartition(topic.name, 0) for topic in TOPICS]
                reader.assign(partitions)
                await reader.seek_to_beginning(*partitions)
                ends = await reader.end_offsets(partitions)
                while any([await reader.position(partition) < ends[partition] for partition in partitions]):
                    batches = await reader.getmany(timeout_ms=100)
                    for record in (record for batch in batches.values() for record in batch):
                        _take(found, record.topic, record.key.decode(), record.value)
            finally:
                await reader.stop()
        return found

    async def publish(self, lines: Iterable[Line], as_of: int | None) -> None:
        """Publish records in their order, and behind them the word that the topics are complete; all of it or nothing.

        Args:
            lines: what to publish.
            as_of: instant in microseconds for the heartbeat on each topic, or None for no heartbeat.

        Raises:
            Fenced: another keeper writes.
            TopicReset: a topic lost what it held.
            KafkaError: the broker did not confirm.
            TimeoutError: the broker did not confirm in time.
        """
        assert self._producer is not None
        written = list(lines)
        if as_of is not None:
            beat = Heartbeat(as_of=as_of).model_dump_json().encode()
            written += [Line(topic.name, HEARTBEAT_KEY, beat) for topic in TOPICS]
        if not written:
            return
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                await self._write(self._producer, written)
        except ProducerFenced as error:
            raise Fenced("another keeper writes the registry topics") from error
        except (IllegalStateError, AssertionError) as error:  # how the client tells of a producer that failed before
            raise KafkaError(repr(error)) from error

    async def _write(self, producer: AIOKafkaProducer, lines: list[Line]) -> None:
        async with producer.transaction():
            sent = [await producer.send(line.topic, key=line.key.encode(), value=line.value, partition=0) for line in lines]
        for confirmed in await asyncio.gather(*sent):
            if confirmed.offset <= self._last_offsets.get(confirmed.topic, -1):
                raise TopicReset(f"{confirmed.topic} was emptied or made anew")
            self._last_offsets[confirmed.topic] = confirmed.offset


def _take(found: dict[tuple[str, str], bytes], topic: str, key: str, value: bytes | None) -> None:
    if key == HEARTBEAT_KEY:
        return
    if value is None:
        found.pop((topic, key), None)
    else:
        found[topic, key] = value
