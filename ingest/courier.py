"""Sends to Kafka, pipelined, and says what is durable. It never gives up on a frame: it is confirmed, or the process ends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from contracts.errors import Unavailable
from contracts.frames import Headers
from contracts.topics import FRAME_BYTES
from ingest import events
from runtime import kafka
from runtime.settings import KafkaSettings

RETRY_SECONDS = 1.0


class Shipment(Protocol):
    """What becomes one record."""

    @property
    def topic(self) -> str:
        """Kafka topic."""

    @property
    def partition(self) -> int:
        """Its partition."""

    @property
    def key(self) -> bytes | None:
        """The record's key."""

    def value(self) -> bytes:
        """Write the record."""

    def headers(self) -> Headers:
        """Make its headers."""


S = TypeVar("S", bound=Shipment)


class Courier:
    """Owns the producer.

    The producer is idempotent and tries again for ever on its own (aiokafka expires nothing then), so that a Kafka that is away
    only delays. An error that still reaches us is fatal to its sequence numbers: going on with the producer could swap or lose
    frames. It is told through ``failed``, and the bridge ends without acknowledging; its supervisor starts it anew, and the
    broker delivers again.

    Attributes:
        failed: its exception once sending is over.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._settings = settings
        self._waiting: deque[tuple[Shipment, Callable[[], None]]] = deque()
        self._wake = asyncio.Event()

    def submit(self, shipment: S, confirmed: Callable[[S], None]) -> None:
        """Send a record; shipments to one partition arrive in the order of this call.

        Args:
            shipment: the record.
            confirmed: called with it once it is durable on all replicas.
        """
        self._waiting.append((shipment, partial(confirmed, shipment)))
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled.

        Raises:
            Unavailable: when the producer broke.
        """
        producer = await self._start()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting and not self.failed.done():
                    await self._send(producer, *self._waiting.popleft())
        except KafkaError as error:
            self._fail(error)
        finally:
            await self._stop(producer)

    async def _start(self) -> AIOKafkaProducer:
        while True:
            producer = kafka.producer(self._settings, max_batch_size=FRAME_BYTES)
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                events.KAFKA_AWAY.emit(reason=type(error).__name__)
                await producer.stop()
                await asyncio.sleep(RETRY_SECONDS)
            except BaseException:
                await producer.stop()
                raise
            else:
                return producer

    async def _send(self, producer: AIOKafkaProducer, shipment: Shipment, confirmed: Callable[[], None]) -> None:
        sent: asyncio.Future[object] = await producer.send(
            shipment.topic, shipment.value(), shipment.key, shipment.partition, headers=shipment.headers()
        )
        sent.add_done_callback(partial(self._sent, confirmed))

    def _sent(self, confirmed: Callable[[], None], sent: asyncio.Future[object]) -> None:
        if sent.cancelled():
            return
        error = sent.exception()
        if error is not None:
            self._fail(error)
        elif not self.failed.done():
            confirmed()

    def _fail(self, error: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_exception(Unavailable(f"the producer broke: {type(error).__name__}"))
            self._wake.set()

    async def _stop(self, producer: AIOKafkaProducer) -> None:
        """Close the producer without waiting for a Kafka that is away."""
        stopping = asyncio.ensure_future(producer.stop())
        await asyncio.wait({stopping}, timeout=RETRY_SECONDS)
        if not stopping.done():
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
            await producer.client.close()
