"""Where the consumer group goes on, asked of Kafka itself and not of Faust."""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from contracts.errors import AgoraError
from contracts.topics import Topic
from runtime import kafka
from runtime.settings import KafkaSettings
from streams import events

RETRY_SECONDS = 0.5


class TopicReset(AgoraError):
    """Kafka's log ends before the position up to which this group has read it: it lost records after they were read."""


class Committed:
    """The committed offsets of one topic, read once for each generation of the group, before its first record is processed.

    Args:
        settings: where Kafka is, and as whom.
        group: the consumer group.
        topic: whose partitions.
    """

    def __init__(self, settings: KafkaSettings, group: str, topic: Topic) -> None:
        self._settings = settings
        self._group = group
        self._topic = topic
        self._generation = -1
        self._offsets: dict[int, int] = {}

    async def goes_on(self, partition: int, generation: int) -> int:
        """Tell where a partition goes on; a Kafka that does not answer is waited for.

        Args:
            partition: of the topic.
            generation: of the group; within it nothing of a partition is committed before its first record was processed.

        Returns:
            The offset: the committed one, or the log's beginning where that is later or nothing was ever committed.
        """
        while generation != self._generation:
            try:
                self._offsets = await self._read()
                self._generation = generation
            except (KafkaError, OSError) as error:
                events.COMMITTED_AWAITED.emit(reason=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
        return self._offsets[partition]

    async def look_for_reset(self) -> None:
        """Make sure that no partition ends before the group's position; a Kafka that does not answer is waited for.

        What is written there next would be passed over in silence, since Faust has seen those offsets.

        Raises:
            TopicReset: one does. Kafka lost data, or was restored from an older copy.
        """
        while True:
            try:
                found, ends = await self._read(), await self._ends()
            except (KafkaError, OSError) as error:
                events.COMMITTED_AWAITED.emit(reason=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for partition, following in found.items():
                if following > ends[partition]:
                    ahead = following - ends[partition]
                    events.TOPIC_RESET.emit(topic=self._topic.name, partition=partition, ahead=ahead)
                    raise TopicReset(f"{self._topic.name}/{partition} ends {ahead} before what was read of it")
            return

    async def _ends(self) -> dict[int, int]:
        """Read where the partitions end; asked after the positions, which are never ahead of them then."""
        reader = kafka.consumer(self._settings, None)
        try:
            await reader.start()
            ends = await reader.end_offsets([TopicPartition(self._topic.name, one) for one in range(self._topic.partitions)])
            return {place.partition: end for place, end in ends.items()}
        finally:
            await reader.stop()

    async def _read(self) -> dict[int, int]:
        # Assigned by hand: a reader of the group's offsets, not a member of it.
        reader = kafka.consumer(self._settings, self._group)
        try:
            await reader.start()
            partitions = [TopicPartition(self._topic.name, number) for number in range(self._topic.partitions)]
            reader.assign(partitions)
            beginnings = await reader.beginning_offsets(partitions)
            return {one.partition: max(await reader.committed(one) or 0, beginnings[one]) for one in partitions}
        finally:
            await reader.stop()
