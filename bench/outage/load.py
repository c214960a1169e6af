"""A steady load of devices of two kinds: careful ones keep a message until its receipt, careless ones trust the broker's word."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.garbage.kinds import Moment, message
from bench.wire import Session
from contracts.down import correlation_text
from contracts.instants import to_text
from runtime import clock
from simulators.misbehaviour import Letter
from simulators.outbox import Outbox

TICK_SECONDS = 0.05
RESEND_SECONDS = 20.0
MADE_UP_SECONDS = 1.0
"""So much of what the sockets did not take in time is made up for: with more, each turn would take longer than the last."""
TURN = 2_000
"""After so many messages at most others have their turn: answers are read, and the database is asked."""
OUTBOX = 5_000
HANDLE_BYTES = 8


@dataclass(slots=True, eq=False)
class Sender:
    """One device.

    Attributes:
        session: its connection.
        careful: whether it keeps its messages until their receipts, and then writes nothing new when its memory is full.
        floods: whether it sends far more than its quota.
        sent: sequences of its messages; ``value_of`` tells their values.
        receipted: sequences with a receipt.
        held_back: messages it did not write since its memory was full.
        resent: messages sent again.
        receipt_seconds: from first sending to receipt.
        capacity: messages a careful one can keep.
    """

    session: Session
    careful: bool
    floods: bool = False
    sent: set[int] = field(default_factory=set)
    receipted: set[int] = field(default_factory=set)
    held_back: int = 0
    resent: int = 0
    receipt_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=100_000))
    capacity: int = OUTBOX
    _begun: dict[int, float] = field(default_factory=dict)
    _outbox: Outbox = field(default_factory=lambda: Outbox(sys.maxsize, RESEND_SECONDS))

    def receipted_now(self, number: int, now: float) -> None:
        """Take note of a receipt."""
        self.receipted.add(number)
        self._outbox.receipted(correlation_text(_handle(number)), now)
        begun = self._begun.pop(number, None)
        if begun is not None:
            self.receipt_seconds.append(now - begun)

    def write(self, number: int, now: float) -> None:
        """Send a new message, unless the memory is full."""
        if self.careful and self.waiting >= self.capacity:
            self.held_back += 1
            return
        letter = self._written(number, now)
        if self.careful:
            self._outbox.add(letter)
            self.send_due(now)
        else:
            self._publish(letter)

    def last_word(self, number: int, now: float) -> None:
        """Send a message that any device keeps until its receipt: by then all that it sent before was taken or fell."""
        self._outbox.add(self._written(number, now))
        self.send_due(now)

    def _written(self, number: int, now: float) -> Letter:
        self.sent.add(number)
        self._begun[number] = now
        moment = Moment(to_text(clock.now()), number)
        return Letter(_handle(number), message(moment, value=str(value_of(number))), number, 1)

    def send_due(self, now: float) -> None:
        """Send what it keeps and was not sent, and again what must be lost."""
        for letter, again in self._outbox.take_due(now):
            self.resent += again
            self._publish(letter)
            self._outbox.acknowledged(letter.correlation_id)  # the broker lives, and its acknowledgements are not awaited

    def _publish(self, letter: Letter) -> None:
        self.session.publish("vitals", letter.payload, letter.correlation)

    @property
    def waiting(self) -> int:
        """Messages that are kept for want of a receipt."""
        return len(self._outbox)


def value_of(number: int) -> int:
    """Give the heart rate in the message of this sequence: one and the next are never the same."""
    return 50 + number % 70


def _handle(number: int) -> bytes:
    return number.to_bytes(HANDLE_BYTES, "big")


class Ear:
    """Hears what a device is answered.

    Attributes:
        sender: the device.
        told: errors, by their code.
        first_told: set by the first.
        last_receipt: when the last receipt came, on the monotonic clock.
    """

    def __init__(self) -> None:
        self.sender: Sender | None = None
        self.told: dict[str, int] = {}
        self.first_told = asyncio.Event()
        self.last_receipt = 0.0

    def receipted(self, correlation: bytes) -> None:
        """Take note of a receipt."""
        if self.sender is not None and len(correlation) == HANDLE_BYTES:
            self.last_receipt = time.monotonic()
            self.sender.receipted_now(int.from_bytes(correlation, "big"), self.last_receipt)

    def refused(self, correlation: bytes, code: str) -> None:
        """Count an error."""
        self.told[code] = self.told.get(code, 0) + 1
        self.first_told.set()


class Load:
    """Publishes at a rate until told to stop.

    Args:
        senders: the devices.
        rate: messages a second of all of them together.
        flooder: one more device, whose messages are not this load's; it only says its last word with the others.
    """

    def __init__(self, senders: Sequence[Sender], rate: float, flooder: Sender | None = None) -> None:
        self.senders = senders
        self.rate = rate
        self._everybody = [*senders, *([flooder] if flooder else [])]
        self._number = 0

    async def run(self) -> None:
        """Publish, for ever: never faster than the sockets take it, so ask ``newest`` how much that was."""
        owed, last, resent = 0.0, time.monotonic(), time.monotonic()
        while True:
            now = time.monotonic()
            owed, last = owed + min(now - last, MADE_UP_SECONDS) * self.rate, now
            for _ in range(int(owed)):
                self._number += 1
                self.senders[self._number % len(self.senders)].write(self._number, now)
                if self._number % TURN == 0:
                    await asyncio.sleep(0)
            owed -= int(owed)
            if now - resent > 1.0:
                resent = now
                self._resend(now)
            for sender in self.senders:
                await sender.session.drain()
            await asyncio.sleep(TICK_SECONDS)

    async def insist(self, seconds: float) -> bool:
        """Send a last word from each device, and again what has no receipt, until all has.

        Args:
            seconds: at most.

        Returns:
            Whether every careful device has all its receipts, and every other that of its last word.
        """
        deadline = time.monotonic() + seconds
        for sender in self._everybody:
            self._number += 1
            sender.last_word(self._number, time.monotonic())
        while any(sender.waiting for sender in self._everybody):
            if time.monotonic() > deadline:
                return False
            self._resend(time.monotonic())
            await asyncio.sleep(0.2)
        return True

    def _resend(self, now: float) -> None:
        for sender in self._everybody:
            sender.send_due(now)

    @property
    def newest(self) -> int:
        """Number of the newest message; devices take them in turn."""
        return self._number
