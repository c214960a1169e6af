"""The bridge: MQTT to Kafka and back. A message is acknowledged to the broker only after Kafka has it on all replicas.

Everything runs on one event loop. ``Bridge`` only passes things on: what it decides, it decides in the pure modules.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from typing import Any

from contracts.errors import Code, Misconfigured, Unavailable
from ingest import events
from ingest.courier import Courier
from ingest.errands import REFUSED, Errands
from ingest.framing import Arrival, Frame, Limits
from ingest.intake import Intake, Refusal
from ingest.packets import Packets
from ingest.quota import Exceeded, QuotaLimits
from ingest.replies import Replies
from ingest.session import Session
from ingest.settings import IngestSettings
from ingest.valve import MIB, Valve
from ingest.window import Window
from runtime import clock, memory, telemetry
from runtime.settings import KafkaSettings, MqttSettings, ProcessSettings, load

MOST_ANSWERS_WAITING = 50_000
"""Receipts and errors the broker has not taken, above which no more are made: a device without its receipt sends again."""
DRAIN_STEP_SECONDS = 0.01
END_SECONDS = 2.0


class Bridge:
    """Ties session, intake, courier and window together."""

    def __init__(self, kafka: KafkaSettings, mqtt: MqttSettings, settings: IngestSettings) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._intake = Intake(
            Limits(settings.frame_messages, settings.frame_interval_ms / 1000, settings.frame_bytes),
            QuotaLimits(
                settings.quota_messages_per_second,
                settings.quota_burst_messages,
                settings.quota_bytes_per_second,
                settings.quota_burst_bytes,
            ),
        )
        self._courier = Courier(kafka)
        self._session = Session(mqtt, settings, self)
        self._window = Window(self._session.write)
        self._errands = Errands(kafka, self._window)
        self._running_errands: asyncio.Task[None] | None = None
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self._yielded = False
        self._timer: asyncio.TimerHandle | None = None
        self._draining = False
        self._paused = False
        self._valve = Valve(settings.watched_folders, settings.disk_least_mib * MIB, self._observe)
        events.DELAY.set_function(self._delay)  # worked out when it is asked for: it grows while nothing else happens

    def _delay(self) -> float:
        waits = [at for at in (self._intake.acknowledger.oldest, self._valve.since) if at is not None]
        return max(0.0, (clock.now() - min(waits)) / 1e6) if waits else 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop, then drain.

        Args:
            stop: set to stop.

        Raises:
            Unavailable: when the producer broke; nothing unconfirmed was acknowledged.
        """
        courier = asyncio.create_task(self._courier.run(), name="courier")
        session = asyncio.create_task(self._session.run(), name="session")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        valve = asyncio.create_task(self._valve.run(), name="valve")
        tasks: list[asyncio.Task[Any]] = [courier, session, stopping, valve]
        try:
            done, _ = await asyncio.wait([*tasks, self._courier.failed, self._broken], return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
            if self._courier.failed.done():
                self._courier.failed.result()
            await self._end_errands()
            await self._drain()
        finally:
            session.cancel()
            await self._end_errands()
            await self._session.leave()
            for task in tasks:
                await self._end(task)
            events.STOPPED.emit(left=self._intake.waiting_messages)

    @staticmethod
    async def _end(task: asyncio.Task[Any]) -> None:
        task.cancel()
        await asyncio.wait({task}, timeout=END_SECONDS)

    async def _end_errands(self) -> None:
        task, self._running_errands = self._running_errands, None
        if task is not None:
            await self._end(task)

    def _errands_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self._broken.done():
            self._broken.set_exception(error)

    async def _drain(self) -> None:
        """Take nothing new in; let what is here become durable, acknowledged and answered."""
        self._draining = True
        self._resume()
        self._ship()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                while self._intake.waiting_messages or (len(self._window) and self._session.is_open):
                    if self._courier.failed.done():
                        self._courier.failed.result()
                    await asyncio.sleep(DRAIN_STEP_SECONDS)

    def packets_received(self, packets: Packets, size: int) -> None:
        """Take in what came from the broker."""
        for packet_id, reason in packets.acknowledged:
            self._window.acknowledged(packet_id, reason)
        events.RECEIVED_BYTES.emit(size)
        if packets.publishes and not self._draining:
            # While draining they are passed over: unacknowledged, they come again to whoever has the session next.
            events.RECEIVED.emit(len(packets.publishes))
            for refusal in self._intake.receive(packets.publishes, self._session.number, clock.now(), self._loop.time()):
                self._courier.submit(refusal, self._confirmed)
            if exceeded := self._intake.take_exceeded():
                self._refuse(exceeded)
            self._ship()
        self._observe()

    def session_opened(self, receive_maximum: int) -> None:
        """Send what the last connection left unanswered."""
        self._yielded = False
        events.ACTIVE.set(1)
        self._window.opened(receive_maximum)
        if self._running_errands is None and not self._draining:
            self._running_errands = asyncio.create_task(self._errands.run(), name="errands")
            self._running_errands.add_done_callback(self._errands_ended)
        if self._paused:
            self._session.pause()

    def session_closed(self) -> None:
        """Hold answers back until the next connection."""
        events.ACTIVE.set(0)
        self._window.closed()

    async def session_yielded(self) -> None:
        """Leave devices to the bridge that has the session now; who lacks a receipt sends again, to that one."""
        self._yielded = True
        await self._end_errands()
        self._window.clear()

    def _ship(self) -> None:
        """Send the frames whose time has come, and come back for the others."""
        for frame in self._intake.framer.take(self._loop.time(), self._draining):
            self._courier.submit(frame, self._shipped)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._intake.framer.next_due()
        if due is not None:
            self._timer = self._loop.call_at(due, self._ship)

    def _shipped(self, frame: Frame) -> None:
        """Let the partition of a durable frame send the next."""
        self._intake.framer.settle(frame)
        self._confirmed(frame)
        self._ship()

    def _confirmed(self, shipment: Frame | Refusal) -> None:
        """Acknowledge to the broker and answer the devices."""
        intake = self._intake
        intake.waiting_messages -= shipment.count
        intake.waiting_bytes -= shipment.size
        self._acknowledge(shipment.shares)
        self._answer(shipment.replies)
        for code in shipment.replies.codes():
            events.REFUSED.emit(code=code)
        events.CONFIRMED.emit(shipment.count, topic=shipment.topic)
        events.FRAMES.emit(topic=shipment.topic)
        events.CONFIRM_SECONDS.observe((clock.now() - shipment.received_at) / 1e6)
        self._observe()

    def _refuse(self, exceeded: Exceeded) -> None:
        """Be done with what is beyond quotas: no receipt, no place in Kafka, and the broker need not keep it."""
        self._acknowledge([])
        self._answer(exceeded.replies)
        events.REFUSED.emit(exceeded.messages, code=Code.RATE_EXCEEDED)
        for name in exceeded.names:
            events.QUOTA_EXCEEDED.emit(device=name)

    def _acknowledge(self, shares: list[tuple[Arrival, int]]) -> None:
        acknowledgements = self._intake.acknowledger.settle(shares, self._session.number)
        if acknowledgements:
            self._session.write(acknowledgements)

    def _answer(self, replies: Replies) -> None:
        if self._yielded:
            return
        if len(self._window) > MOST_ANSWERS_WAITING:
            events.ANSWERS_DROPPED.emit(len(replies.publications()))
            return
        for topic, payload in replies.publications():
            self._window.publish(topic, payload, _answered)
        events.RECEIPTS.emit(replies.receipts())

    def _observe(self) -> None:
        """Compare what waits with what may, and show it."""
        intake, answers = self._intake, len(self._window)
        events.WAITING_MESSAGES.set(intake.waiting_messages)
        events.WAITING_BYTES.set(intake.waiting_bytes)
        events.WAITING_ANSWERS.set(answers)
        # Broker and Receive Maximum bound the messages of QoS 1; those of QoS 0 are bounded here alone.
        shares = (
            intake.waiting_bytes / self._settings.unconfirmed_bytes,
            intake.waiting_messages / (2 * self._settings.receive_maximum),
        )
        full = self._valve.shut or max(shares) > 1
        if self._paused and not self._valve.shut and max(shares) < 0.5:
            self._resume()
        elif not self._paused and not self._draining and full:
            self._paused = True
            self._session.pause()
            events.READING_PAUSED.emit(messages=intake.waiting_messages, bytes=intake.waiting_bytes, answers=answers)

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._session.resume()
            events.READING_RESUMED.emit()


def _answered(reason: int) -> None:
    if reason >= REFUSED:
        events.DOWN_REFUSED.emit(reason=hex(reason))


async def _run(kafka: KafkaSettings, mqtt: MqttSettings, settings: IngestSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    bridge = Bridge(kafka, mqtt, settings)
    events.STARTED.emit(client_id=settings.client_id)
    await bridge.run(stop)


def run() -> int:
    """Be the bridge process, with the settings of the environment.

    Returns:
        0 after a clean drain, 1 when it gave up.

    Raises:
        Misconfigured: naming the setting.
    """
    process = load(ProcessSettings)
    kafka, mqtt, settings = load(KafkaSettings), load(MqttSettings), load(IngestSettings)
    telemetry.start(process, "bridge")
    memory.settle()
    try:
        asyncio.run(_run(kafka, mqtt, settings))
    except Unavailable as error:
        events.FAILED.emit(reason=str(error))
        return 1
    except (FileNotFoundError, IsADirectoryError, PermissionError, ssl.SSLError) as error:
        raise Misconfigured(f"AGORA_MQTT_CA_FILE or AGORA_KAFKA_CA_FILE: {error.strerror}") from None
    return 0
