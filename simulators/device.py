"""One simulated home device: it does its steps, keeps what it wrote until the platform answers, and reconnects."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

import msgspec
from paho.mqtt.reasoncodes import ReasonCode

from contracts.down import decode_error, decode_receipts
from contracts.instants import SECOND
from simulators.connection import BrokerAddress, Connection, Hooks
from simulators.counts import Counts, Sent
from simulators.misbehaviour import GoOffline, LeaveOut, Letter, Make, Repeat, Step
from simulators.outbox import RESEND_SECONDS, Outbox, Sendings
from simulators.patients import DeviceCredential

TICK_SECONDS = 0.5
BACKOFF_SECONDS = 0.5
BACKOFF_LIMIT_SECONDS = 15.0
LONGEST_SLEEP_SECONDS = 60.0
LONGEST_REST_SECONDS = 60.0
"""However long the platform asks a device to rest."""
HOPELESS = frozenset({0x87, 0x90, 0x95, 0x99})
"""MQTT 5 answers that the same bytes will always get: not authorized, topic invalid, packet too large, payload invalid."""


def now() -> int:
    """Give the present instant in microseconds."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOptions:
    """How devices work.

    Attributes:
        address: the broker.
        tls: shared by all devices.
        outbox_capacity: letters kept without an answer; a full device writes nothing new until there is room.
        resend_seconds: wait before a letter without receipt is sent again, above 0; doubled each time up to a minute.
        sparing: send again only what must be lost, else whatever has waited so long.
        remember: keep what was sent and receipted for a checker (about 300 bytes a letter).
    """

    address: BrokerAddress
    tls: ssl.SSLContext
    outbox_capacity: int = 500
    resend_seconds: float = RESEND_SECONDS
    sparing: bool = True
    remember: bool = True


class Device:
    """A device at somebody's home.

    Args:
        credential: which device.
        plan: what it does, in order of time.
        options: how it works.
        mqtt5: speak MQTT 5, else 3.1.1 (the plan must then carry message ids).
    """

    def __init__(self, credential: DeviceCredential, plan: Iterator[Step], options: DeviceOptions, mqtt5: bool = True) -> None:
        self.credential = credential
        self._plan = plan
        self._options = options
        self._mqtt5 = mqtt5
        self._outbox = Outbox(options.outbox_capacity, options.resend_seconds, options.sparing)
        self._counts = Counts()
        self._connection: Connection | None = None
        self._in_flight: dict[int, str] = {}
        self._sent: dict[str, Sent] = {}
        self._receipted: set[str] = set()
        self._sendings = Sendings()
        self._room = asyncio.Event()
        self._lost = asyncio.Event()
        self._offline_until = 0.0
        self._resting_until = 0.0
        self._next_sequence: int | None = None
        self._hooks = Hooks(self._on_receipts, self._on_error, self._on_acknowledged, self._on_lost)

    @property
    def counts(self) -> Counts:
        """A copy of the counters."""
        return replace(
            self._counts,
            outstanding=len(self._outbox),
            errors=self._counts.errors.copy(),
            warnings=self._counts.warnings.copy(),
        )

    @property
    def receipted(self) -> frozenset[str]:
        """Correlations that got their receipt; empty unless it remembers."""
        return frozenset(self._receipted)

    @property
    def sent_again(self) -> dict[str, int]:
        """Correlations of letters that were sent more than once for want of an answer; empty unless it remembers.

        Each with the highest number that had been sent for the first time when it was sent last.
        """
        return dict(self._sendings.again)

    @property
    def outstanding(self) -> frozenset[str]:
        """Correlations that wait for an answer."""
        return self._outbox.correlation_ids()

    @property
    def sent(self) -> dict[str, Sent]:
        """Every letter written, by correlation; empty unless it remembers."""
        return dict(self._sent)

    @property
    def next_sequence(self) -> int | None:
        """Number of the message after the last one written, or None when none was written."""
        return self._next_sequence

    async def stay_connected(self) -> None:
        """Connect, and connect again whenever the connection ends. Runs until cancelled."""
        failures = 0
        chance = Random(self.credential.key)  # noqa: S311 - spreads reconnections, no secret
        try:
            while True:
                while (wait := self._offline_until - time.monotonic()) > 0:  # noqa: ASYNC110 - it may be put off meanwhile
                    await asyncio.sleep(wait)
                if await self._connect():
                    failures = 0
                    await self._lost.wait()
                    self._drop_connection()
                else:
                    failures += 1
                    backoff = min(BACKOFF_SECONDS * 2**failures, BACKOFF_LIMIT_SECONDS)
                    await asyncio.sleep(backoff * chance.uniform(0.5, 1.0))
        finally:
            self._drop_connection()

    async def _connect(self) -> bool:
        self._lost.clear()
        connection = Connection(self._options.address, self._options.tls, self.credential, self._hooks, self._mqtt5)
        try:
            await connection.open()
        except OSError:
            self._counts.connection_failures += 1
            return False
        self._connection = connection
        self._counts.connects += 1
        self._send_due()
        return True

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._in_flight.clear()
        self._outbox.connection_lost()

    async def work(self) -> None:
        """Do the steps, each at its time. Ends with the plan."""
        for step in self._plan:
            await _sleep_until(step.at)
            await self._do(step)

    async def _do(self, step: Step) -> None:
        match step:
            case Make(letter=letter):
                await self._make(letter)
            case Repeat(letter=letter):
                self._counts.duplicates += 1
                if self._connection is not None:
                    self._publish(letter)
            case LeaveOut(sequence=sequence):
                self._counts.gaps += 1
                self._next_sequence = sequence + 1
            case GoOffline(seconds=seconds):
                self._counts.offline_bursts += 1
                self._offline_until = time.monotonic() + seconds
                self._lost.set()

    async def _make(self, letter: Letter) -> None:
        while letter.receipt and self._outbox.full:
            self._room.clear()
            await self._room.wait()
        if letter.garbage:
            self._counts.garbage += 1
        else:
            self._counts.made += 1
            self._counts.values += letter.values
        if letter.sequence is not None:
            self._next_sequence = max(letter.sequence + 1, self._next_sequence or 0)
        if self._options.remember:
            self._sent[letter.correlation_id] = Sent(letter.sequence, letter.values, letter.garbage)
        if letter.receipt:
            self._outbox.add(letter)
            self._send_due()
        elif self._connection is not None:
            self._publish(letter)

    def tick(self) -> None:
        """Keep the session alive and send again what waited too long; to be called every ``TICK_SECONDS``."""
        if self._connection is not None:
            self._connection.tick()
            self._send_due()

    def _send_due(self) -> None:
        if self._connection is None or self._lost.is_set() or time.monotonic() < self._resting_until:
            return
        for letter, again in self._outbox.take_due(time.monotonic()):
            self._counts.resent += again
            if self._options.remember:
                self._sendings.note(letter, again)
            self._in_flight[self._publish(letter)] = letter.correlation_id

    def _publish(self, letter: Letter) -> int:
        assert self._connection is not None
        self._counts.published += 1
        return self._connection.publish(letter.payload, letter.correlation)

    def _receipt(self, correlation_id: str) -> None:
        if self._outbox.receipted(correlation_id, time.monotonic()) is None:
            self._counts.receipts_repeated += 1
            return
        self._room.set()
        self._counts.receipted += 1
        if self._options.remember:
            self._receipted.add(correlation_id)

    def _on_acknowledged(self, mid: int, refusal: ReasonCode | None) -> None:
        correlation_id = self._in_flight.pop(mid, None)
        if refusal is not None and refusal.value in HOPELESS:
            self._counts.refused += 1
            if correlation_id is not None and self._outbox.settle(correlation_id) is not None:
                self._room.set()
        elif correlation_id is not None:
            self._outbox.acknowledged(correlation_id)

    def _on_receipts(self, payload: bytes) -> None:
        try:
            receipts = decode_receipts(payload).receipts
        except msgspec.DecodeError:
            self._counts.unreadable += 1
            return
        for receipt in receipts:
            self._receipt(receipt.correlation)

    def _on_error(self, payload: bytes) -> None:
        # An error does not end the wait for a receipt: semantic errors concern messages that are durable in quarantine,
        # so theirs comes as well; letters beyond the quota are kept, and sent again after the rest that is asked for.
        try:
            error = decode_error(payload)
        except msgspec.DecodeError:
            self._counts.unreadable += 1
            return
        if error.retry_after > 0:
            self._resting_until = time.monotonic() + min(error.retry_after, LONGEST_REST_SECONDS)
        (self._counts.warnings if error.severity == "warning" else self._counts.errors)[error.code] += 1

    def _on_lost(self) -> None:
        self._counts.connection_losses += 1
        self._lost.set()


async def _sleep_until(instant: int) -> None:
    """Sleep in pieces, so that a clock that was set does not delay a step by more than a minute."""
    while (ahead := (instant - now()) / SECOND) > 0:  # noqa: ASYNC110 - waits for the clock, not for a state
        await asyncio.sleep(min(ahead, LONGEST_SLEEP_SECONDS))
