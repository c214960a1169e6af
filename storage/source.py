"""The store's side of Kafka: partitions come and go with the consumer group, positions come from the database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaConnectionError

from contracts.frames import count_of
from contracts.topics import VITALS
from runtime import kafka
from runtime.settings import KafkaSettings
from storage import events
from storage.batch import TOPICS
from storage.pieces import KafkaRecord
from storage.settings import StoreSettings
from storage.tables import Place

GROUP = "agora-store"
IDLE_MILLISECONDS = 500
SETTLE_MILLISECONDS = 10
"""How long the broker has to answer once it is asked again."""
TAKE_RECORDS = 100
START_RETRY_SECONDS = 1.0
REVOKE_SECONDS = 5.0
FETCH_BYTES = 1024 * 1024
"""Of each partition at once: several batches' worth of all of them together, and what it is taken apart into stays small."""
FETCH_MIN_BYTES = 1
"""The broker answers once it has this much, or its time is over: an answer per record would cost more than the record."""


class Source(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Reads the store's topics.

    Attributes:
        changed: True when the positions must be loaded again before anything is written: partitions were assigned or taken
            away, or a transaction failed.
    """

    def __init__(self, settings: KafkaSettings, store: StoreSettings, settle: Callable[[], Awaitable[object]]) -> None:
        """Prepare the source.

        Args:
            settings: where Kafka is, as the user ``store``.
            store: sizes and waits.
            settle: awaited, for a short time, before partitions are given away; returns when no transaction is under way.
        """
        self.changed = True
        self._settings = settings
        self._store = store
        self._settle = settle
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Join the group; Kafka is waited for."""
        while True:
            reader = kafka.consumer(
                self._settings,
                GROUP,
                max_partition_fetch_bytes=FETCH_BYTES,
                fetch_min_bytes=FETCH_MIN_BYTES,
                fetch_max_wait_ms=kafka.PROMPT_MILLISECONDS,
                max_poll_interval_ms=int(self._store.poll_interval_seconds * 1000),
            )
            reader.subscribe(topics=list(TOPICS), listener=self)
            self._consumer = reader  # its start already calls the listener
            try:
                await reader.start()
            except KafkaConnectionError as error:
                await self.stop()
                events.KAFKA_AWAITED.emit(reason=type(error).__name__)
                await asyncio.sleep(START_RETRY_SECONDS)
            else:
                return

    async def stop(self) -> None:
        """Leave the group, so that others take over at once."""
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Drop what was read, and let a transaction that is under way end, so that the next owner begins behind it."""
        self.changed = True
        if revoked:
            # Only a courtesy: the fence keeps a late transaction out.
            await asyncio.wait([asyncio.ensure_future(self._settle())], timeout=REVOKE_SECONDS)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Read nothing until the database has said from where."""
        self.changed = True
        self._reader.pause(*assigned)

    def places(self) -> list[Place]:
        """Give the topics and partitions that are ours now."""
        return [(one.topic, one.partition) for one in self._reader.assignment()]

    def seek(self, positions: Mapping[Place, int]) -> None:
        """Go on from these positions.

        Args:
            positions: the next offset by topic and partition; must be all of ``places()``.
        """
        for (topic, partition), following in positions.items():
            self._reader.seek(TopicPartition(topic, partition), following)
        self._reader.resume(*(TopicPartition(*place) for place in positions))

    async def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """Ask Kafka where topics end.

        Returns:
            The offset of the next record of each.

        Raises:
            KafkaError: it does not answer.
        """
        ends = await self._reader.end_offsets([TopicPartition(*place) for place in places])
        return {(place.topic, place.partition): end for place, end in ends.items()}

    async def gather(self) -> list[KafkaRecord]:
        """Gather a batch: everything that comes within a short time of the first record, up to a number of readings.

        Returns:
            Records, those of a partition in their order; none when nothing came for half a second.
        """
        self._wake()
        records = await self._take(IDLE_MILLISECONDS)
        readings = _readings(records)
        if not records or self.changed:
            return records
        if readings < self._store.batch_readings and self._store.gather_milliseconds:
            self._rest()
            await asyncio.sleep(self._store.gather_milliseconds / 1000)
            if self.changed:
                return records
            self._wake()
        wait = SETTLE_MILLISECONDS
        while readings < self._store.batch_readings and (more := await self._take(wait)):
            records += more
            readings += _readings(more)
            wait = 0
        if readings < self._store.batch_readings and not self.changed:
            self._rest()
        return records

    def _rest(self) -> None:
        """Ask the broker for nothing until ``_wake``: a request for every few records would cost more than they do."""
        self._reader.pause(*self._reader.assignment())

    def _wake(self) -> None:
        self._reader.resume(*self._reader.assignment())

    def lag(self, positions: Mapping[Place, int]) -> dict[str, int]:
        """Give how many records of each topic are still to be written, as far as this consumer knows."""
        found = dict.fromkeys(TOPICS, 0)
        for (topic, partition), following in positions.items():
            end = self._reader.highwater(TopicPartition(topic, partition))
            found[topic] += max(0, (end or 0) - following)
        return found

    async def _take(self, milliseconds: int) -> list[KafkaRecord]:
        taken = await self._reader.getmany(timeout_ms=milliseconds, max_records=TAKE_RECORDS)
        return [record for records in taken.values() for record in records]

    @property
    def _reader(self) -> AIOKafkaConsumer:
        assert self._consumer is not None, "start() comes first"
        return self._consumer


def _readings(records: Sequence[KafkaRecord]) -> int:
    return sum(count_of(record.headers) if record.topic == VITALS.name else 1 for record in records)
