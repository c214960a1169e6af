"""The view of a compacted registry topic: read whole at start, followed ever after, newest version per key kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from contracts.instants import SECOND
from contracts.registry import HEARTBEAT_KEY, Heartbeat, Record
from contracts.topics import Topic
from runtime import clock, events, kafka
from runtime.settings import KafkaSettings

R = TypeVar("R", bound=Record)
RETRY_SECONDS = 0.5


class CompactedView(Generic[R]):
    """Holds the newest record per key of one compacted topic of one partition.

    Attributes:
        records: by key; treat as read-only.
        heartbeat_as_of: the topic is complete up to this instant in microseconds; 0 before the first heartbeat.
        heard_at: when that heartbeat came, by ``clock.elapsed``.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: Topic,
        model: type[R],
        on_change: Callable[[str, R | None], None] | None = None,
    ) -> None:
        """Prepare the view.

        Args:
            settings: where Kafka is, and as whom to read.
            topic: a compacted topic of one partition.
            model: what its records hold.
            on_change: called with key and record (None when removed) for each change, from the reading task.
        """
        self.records: dict[str, R] = {}
        self.heartbeat_as_of = 0
        self.heard_at = 0.0
        self._behind = False
        self._asked: list[asyncio.Future[None]] = []
        self._reaching: list[asyncio.Future[None]] = []
        self._settings = settings
        self._topic = topic
        self._model = model
        self._on_change = on_change
        self._caught_up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to read; returns once everything that stood in the topic at that moment is known."""
        self._task = asyncio.create_task(self._follow(), name=f"follow {self._topic.name}")
        waiter = asyncio.create_task(self._caught_up.wait())
        await asyncio.wait({waiter, self._task}, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def fresh(self, seconds: float) -> bool:
        """Tell whether the topic is known as it stood less than so many seconds ago, by the wall clock and by one nobody sets."""
        age = (clock.now() - self.heartbeat_as_of) / SECOND
        return abs(age) < seconds and clock.elapsed() - self.heard_at < seconds

    async def confirm(self) -> None:
        """Wait until everything that stands in the topic now is known, keeper or no keeper; Kafka itself is waited for."""
        asked = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        await asked

    async def _follow(self) -> None:
        """Read for ever; a lost broker is waited for, and the topic then read again from its start."""
        while True:
            reader = kafka.consumer(self._settings, None)
            try:
                await reader.start()
                await self._read(reader)
            except (KafkaError, OSError) as error:
                events.VIEW_INTERRUPTED.emit(topic=self._topic.name, reason=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                await reader.stop()

    async def _read(self, reader: AIOKafkaConsumer) -> None:
        partition = TopicPartition(self._topic.name, 0)
        reader.assign([partition])
        await reader.seek_to_beginning(partition)
        end = (await reader.end_offsets([partition]))[partition]
        self._behind = True
        while True:
            if await reader.position(partition) >= end:
                self._behind = False
                self._caught_up.set()
                self._reached()
            if self._asked:
                self._reaching, self._asked = self._reaching + self._asked, []
                end = (await reader.end_offsets([partition]))[partition]
                continue
            batches = await reader.getmany(timeout_ms=200)
            for record in (record for batch in batches.values() for record in batch):
                self.take(record.key, record.value)

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record in as Kafka gives it; one without a readable key is left out and told.

        Args:
            key: UTF-8, as the keeper writes it.
            value: JSON, or None for a tombstone.
        """
        try:
            name = (key or b"").decode()
        except UnicodeDecodeError:
            name = ""
        if name:
            self.apply(name, value)
        else:
            events.VIEW_RECORD_REFUSED.emit(topic=self._topic.name, problems=1)

    def _reached(self) -> None:
        for asked in self._reaching:
            if not asked.done():
                asked.set_result(None)
        self._reaching.clear()

    def apply(self, key: str, value: bytes | None) -> None:
        """Take one record in.

        Args:
            key: record key.
            value: JSON, or None for a tombstone.
        """
        if key == HEARTBEAT_KEY:
            if value is not None:
                self._beat(value)
            return
        if value is None:
            if self.records.pop(key, None) is not None and self._on_change:
                self._on_change(key, None)
            return
        try:
            record = self._model.model_validate_json(value)
        except ValidationError as error:
            # Fail closed: an older grant or assignment must not outlive a newer record that cannot be read.
            events.VIEW_RECORD_REFUSED.emit(topic=self._topic.name, problems=error.error_count())
            self.apply(key, None)
            return
        held = self.records.get(key)
        if held is not None and held.version >= record.version:
            return
        self.records[key] = record
        if self._on_change:
            self._on_change(key, record)

    def _beat(self, value: bytes) -> None:
        """Take a heartbeat in: the last one counts, whatever its instant, since the keeper's clock may have been set back.

        One that stood in the topic when it was read anew says nothing about the present, whatever a clock that was moved says.
        Nor does one that cannot be read: the view then grows stale.
        """
        try:
            beat = Heartbeat.model_validate_json(value)
        except ValidationError as error:
            events.VIEW_RECORD_REFUSED.emit(topic=self._topic.name, problems=error.error_count())
            return
        if not self._behind:
            self.heartbeat_as_of, self.heard_at = beat.as_of, clock.elapsed()
