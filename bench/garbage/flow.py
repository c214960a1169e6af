"""Sends a plan as fast as it is answered: what is out at a time is bounded, so that no queue grows anywhere."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

from bench.garbage.plan import CORRELATION_BYTES, Planned
from bench.wire import Session

DIGEST_BYTES = 8
PATIENCE_SECONDS = 60.0
TELL_SECONDS = 5.0
LEAST_WINDOW, SLOWER, FASTER = 100, 0.8, 1.1


class Stuck(Exception):
    """Nothing was answered for a minute."""


class Flow:
    """The garbage that is out, and what came back.

    Attributes:
        answered: messages the platform has answered: with an error, or, where it tells the device none, with a receipt.
        receipts: messages with a receipt.
        told: errors told to devices, by code.
        told_wrongly: of these, with a code that does not fit.
        window: most messages that are out at a time.
        narrowest: the least the window was lowered to; None where it never had to be.
        widest: the most it was.
        digests: eight bytes of each payload's BLAKE2b, in the order of the plan.
    """

    def __init__(self, count: int, window: int, fits: Callable[[int, str], bool]) -> None:
        """Prepare it.

        Args:
            count: messages of the plan.
            window: most messages that are out at a time, to begin with.
            fits: tells whether a code fits a message, by its number.
        """
        self.receipts = 0
        self.told: Counter[str] = Counter()
        self.told_wrongly: Counter[str] = Counter()
        self.digests = array("Q")
        self.window = window
        self.narrowest: int | None = None
        self.widest = window
        self._fits = fits
        self._mute = bytearray(count)
        self._received = bytearray(count)
        self._settled = bytearray(count)
        self.answered = 0
        self._sent = 0
        self._room = asyncio.Event()
        self._newest = time.monotonic()

    def receipted(self, correlation: bytes) -> None:
        """Take note of a receipt."""
        number = self._number(correlation)
        if number >= 0 and not self._received[number]:
            self._received[number] = 1
            self.receipts += 1
            if self._mute[number]:
                self._settle(number)

    def refused(self, correlation: bytes, code: str) -> None:
        """Take note of an error."""
        number = self._number(correlation)
        if number >= 0 and not self._settled[number]:
            self.told[code] += 1
            if not self._fits(number, code):
                self.told_wrongly[code] += 1
            self._settle(number)

    def _number(self, correlation: bytes) -> int:
        number = int.from_bytes(correlation, "big") if len(correlation) == CORRELATION_BYTES else -1
        return number if number < self._sent else -1

    def _settle(self, number: int) -> None:
        if not self._settled[number]:
            self._settled[number] = 1
            self.answered += 1
            self._newest = time.monotonic()
            self._room.set()

    @property
    def out(self) -> int:
        """Messages that are sent and not answered."""
        return self._sent - self.answered

    def steer(self, slow: bool, most: int) -> None:
        """Let out less at a time while valid readings are slow, and more otherwise.

        Args:
            slow: whether they are.
            most: how far the window may open.
        """
        if slow:
            self.window = round(max(LEAST_WINDOW, self.window * SLOWER))
            self.narrowest = min(self.window, self.narrowest or self.window)
        else:
            self.window = round(min(most, self.window * FASTER + 1))
            self.widest = max(self.window, self.widest)

    async def send(
        self,
        plan: Iterable[Planned],
        lent: Sequence[Session],
        nobodys: Sequence[Session],
        tell: Callable[[int], None],
    ) -> None:
        """Send everything and wait until everything is answered.

        Args:
            plan: the messages.
            lent: sessions of devices that somebody has.
            nobodys: of those nobody has.
            tell: told now and then how many were sent.

        Raises:
            Stuck: nothing was answered for a minute.
            Lost: the broker ended a session.
        """
        newest = self._newest = time.monotonic()
        for planned in plan:
            if self.out >= self.window:
                for session in (*lent, *nobodys):
                    await session.drain()
                await self._wait(self.window * 3 // 4)
            self._publish(planned, lent if planned.kind.lent else nobodys)
            if time.monotonic() - newest > TELL_SECONDS:
                newest = time.monotonic()
                tell(self._sent)
        await self._wait(0)

    def _publish(self, planned: Planned, sessions: Sequence[Session]) -> None:
        number = planned.number
        self.digests.append(digest(planned.payload))
        self._mute[number] = not planned.kind.told
        self._sent = number + 1
        sessions[number % len(sessions)].publish(planned.stream, planned.payload, planned.correlation)

    async def _wait(self, most: int) -> None:
        while self.out > most:
            self._room.clear()
            try:
                await asyncio.wait_for(self._room.wait(), 0.5)
            except TimeoutError:
                if time.monotonic() - self._newest > PATIENCE_SECONDS:
                    raise Stuck(f"{self.out} messages have had no answer for {PATIENCE_SECONDS:.0f} s") from None


def digest(payload: bytes) -> int:
    """Give eight bytes of a payload's hash, by which it is known again in quarantine."""
    return int.from_bytes(blake2b(payload, digest_size=DIGEST_BYTES).digest(), "big")
