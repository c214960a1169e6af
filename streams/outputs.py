"""The worker's outputs: one idempotent producer, every record sent until Kafka confirms it, in the order given per partition."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from contracts.frames import Headers
from contracts.topics import VITALS
from runtime import kafka
from runtime.settings import KafkaSettings
from streams import events

RETRY_SECONDS = 0.2
START_RETRY_SECONDS = 1.0
LINGER_MILLISECONDS = 2
"""How long an output waits for those of other frames: the bridge's frames come together, and a request costs more than a
record."""
BATCH_BYTES = 256 * 1024
"""Frames are large; aiokafka's default of 16 KiB would make a request of each. A request holds one batch of every partition."""


class Output(NamedTuple):
    """One record to write.

    Attributes:
        topic: topic name.
        partition: partition.
        key: key, or None.
        value: value.
        headers: Kafka headers.
    """

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: Headers


def patient_producer(settings: KafkaSettings) -> AIOKafkaProducer:
    """Make the producer of the worker's outputs.

    aiokafka gives a batch up when its partition had no leader for the time of a request, also one that has its sequence number
    already; everything after it is then refused as out of order, for ever. A batch that never expires is sent once Kafka is back.

    Args:
        settings: where Kafka is, and as whom.

    Returns:
        A producer that was not started yet.
    """
    producer = kafka.producer(
        settings,
        max_request_size=VITALS.max_message_bytes,
        max_batch_size=BATCH_BYTES,
        request_timeout_ms=30_000,
        linger_ms=LINGER_MILLISECONDS,
    )
    producer._message_accumulator._batch_ttl = math.inf
    return producer


class _Delivery:
    """Counts the confirmations of one event's outputs; sends again what Kafka could not take for the moment."""

    __slots__ = ("_failed", "_outputs", "_owner", "_then", "_waiting")

    def __init__(self, owner: Outputs, outputs: Sequence[Output], then: Callable[[], None]) -> None:
        self._owner = owner
        self._outputs = outputs
        self._then = then
        self._waiting = len(outputs)
        self._failed: list[tuple[int, BaseException]] = []

    def watch(self, index: int, future: asyncio.Future[object]) -> None:
        """Follow the confirmation of one output."""
        future.add_done_callback(lambda done: self._settle(index, done))

    def _settle(self, index: int, done: asyncio.Future[object]) -> None:
        if done.cancelled():
            return  # the producer was stopped: never confirmed, never acknowledged
        error = done.exception()
        if error is not None:
            self._failed.append((index, error))
        self._waiting -= 1
        if self._waiting:
            return
        if not self._failed:
            self._then()
            return
        error = next((error for _, error in self._failed if not _passes(error)), None)
        if error is not None:
            self._owner.fail(error)
            return
        again = [self._outputs[index] for index, _ in sorted(self._failed, key=lambda pair: pair[0])]
        self._owner.send_later(again, self._then, self._failed[0][1])


def _passes(error: BaseException) -> bool:
    """Tell whether waiting helps."""
    return isinstance(error, KafkaError) and bool(error.retriable)


class Outputs:
    """Sends the outputs of events and tells when all of one event's are confirmed."""

    def __init__(self, settings: KafkaSettings, on_failure: Callable[[BaseException], None]) -> None:
        """Prepare it.

        Args:
            settings: where Kafka is.
            on_failure: called when a record can never be written; the process must then stop, unacknowledged.
        """
        self._settings = settings
        self._on_failure = on_failure
        self._producer: AIOKafkaProducer | None = None
        self._again: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect; a Kafka that does not answer is waited for."""
        while True:
            producer = patient_producer(self._settings)
            try:
                await producer.start()
            except KafkaConnectionError as error:
                await producer.stop()
                events.KAFKA_AWAITED.emit(reason=type(error).__name__)
                await asyncio.sleep(START_RETRY_SECONDS)
                continue
            self._producer = producer
            return

    async def stop(self) -> None:
        """Write out what is pending, and disconnect."""
        for task in self._again:
            task.cancel()
        if self._producer is not None:
            await self._producer.stop()

    async def send(self, outputs: Sequence[Output], then: Callable[[], None]) -> None:
        """Hand outputs to the producer, in order; returns once they are queued, which waits while Kafka is behind.

        Args:
            outputs: records of one event.
            then: called once all of them are confirmed.
        """
        if not outputs:
            then()
            return
        delivery = _Delivery(self, outputs, then)
        for index, output in enumerate(outputs):
            delivery.watch(index, await self._queue(output))

    async def write(self, outputs: Sequence[Output]) -> None:
        """Send outputs and wait until Kafka has confirmed all of them.

        Args:
            outputs: records, in order.
        """
        confirmed = asyncio.Event()
        await self.send(outputs, confirmed.set)
        await confirmed.wait()

    async def _queue(self, output: Output) -> asyncio.Future[object]:
        assert self._producer is not None, "start() comes first"
        while True:
            try:
                future: asyncio.Future[object] = await self._producer.send(
                    output.topic, output.value, key=output.key, partition=output.partition, headers=output.headers
                )
            except KafkaError as error:
                if not _passes(error):
                    raise
                events.KAFKA_AWAITED.emit(reason=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return future

    def send_later(self, outputs: Sequence[Output], then: Callable[[], None], error: BaseException) -> None:
        """Send outputs once more after a moment, since Kafka refused them for now."""
        events.KAFKA_AWAITED.emit(reason=type(error).__name__)
        task = asyncio.create_task(self._send_later(outputs, then))
        self._again.add(task)
        task.add_done_callback(self._again.discard)

    async def _send_later(self, outputs: Sequence[Output], then: Callable[[], None]) -> None:
        await asyncio.sleep(RETRY_SECONDS)
        try:
            await self.send(outputs, then)
        except Exception as error:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Say that a record can never be written."""
        self._on_failure(error)
