"""Reading stretches of Kafka's topics outside any consumer group: for the ledger, for replays and for looking on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from contracts.errors import Unavailable
from contracts.topics import Topic
from runtime import kafka
from runtime.settings import KafkaSettings
from storage.pieces import KafkaRecord

IDLE_MILLISECONDS = 200
Span = tuple[int, int]
"""From this offset up to, not including, that one."""


@asynccontextmanager
async def open_log(settings: KafkaSettings) -> AsyncIterator[Log]:
    """Connect to Kafka for reading.

    Args:
        settings: where, and as whom.

    Raises:
        Unavailable: Kafka does not answer.
    """
    reader = kafka.consumer(settings, None, auto_offset_reset="earliest")
    try:
        await reader.start()
    except KafkaConnectionError as error:
        await reader.stop()
        raise Unavailable(f"Kafka at {settings.bootstrap} does not answer") from error
    try:
        yield Log(reader)
    except KafkaError as error:
        raise Unavailable(f"Kafka at {settings.bootstrap}: {type(error).__name__}") from error
    finally:
        await reader.stop()


class Log:
    """Kafka's topics as logs."""

    def __init__(self, reader: AIOKafkaConsumer) -> None:
        """Wrap a started consumer without a group."""
        self._reader = reader

    async def ends(self, topics: Iterable[Topic]) -> dict[tuple[str, int], int]:
        """Give the next offset of every partition."""
        places = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
        return {(place.topic, place.partition): end for place, end in (await self._reader.end_offsets(places)).items()}

    async def read(self, topic: Topic, spans: Mapping[int, Span]) -> AsyncIterator[KafkaRecord]:
        """Read stretches of a topic.

        Args:
            topic: which.
            spans: by partition. What retention has taken away is left out.

        Yields:
            Records, those of a partition in order.
        """
        places = {TopicPartition(topic.name, number): span for number, span in spans.items()}
        begin = await self._reader.beginning_offsets(list(places))
        open_ = {place: (max(span[0], begin[place]), span[1]) for place, span in places.items()}
        open_ = {place: span for place, span in open_.items() if span[0] < span[1]}
        self._reader.assign(list(open_))
        for place, (since, _) in open_.items():
            self._reader.seek(place, since)
        while open_:
            for place, records in (await self._reader.getmany(timeout_ms=IDLE_MILLISECONDS)).items():
                upto = open_[place][1] if place in open_ else 0
                for record in records:
                    if record.offset < upto:
                        yield record
            for place in [place for place, span in open_.items() if await self._reader.position(place) >= span[1]]:
                del open_[place]
                self._reader.pause(place)

    async def follow(self, topic: Topic) -> AsyncIterator[list[KafkaRecord]]:
        """Read what comes from now on, for ever.

        Yields:
            Records as they come; an empty list when nothing came for a moment.
        """
        places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        self._reader.assign(places)
        await self._reader.seek_to_end(*places)
        # Where the ends are is asked for now, not at the first read: what comes in between is new.
        await asyncio.gather(*(self._reader.position(place) for place in places))
        while True:
            taken = await self._reader.getmany(timeout_ms=IDLE_MILLISECONDS)
            yield [record for records in taken.values() for record in records]
