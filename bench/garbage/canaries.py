"""Valid readings sent between the garbage: how long each takes to its committed row, and that nothing else is stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from psycopg import AsyncConnection

from bench.garbage.kinds import Moment, message
from bench.wire import Session
from contracts.instants import to_datetime, to_text
from runtime import clock

EVERY_SECONDS = 0.1
LOOK_SECONDS = 0.05
NEWEST = 6
"""Readings over which the present delay is told."""
FLOWS_SECONDS = 2.0
"""Readings that take no longer than this have no start to wait for any more."""
HANDLE = b"canary"
Letter = tuple[str, int]
"""Device and sequence."""
_SEEN = """
SELECT d.name, o.sequence FROM observations o JOIN devices d USING (device_key)
WHERE d.org = %s AND o.device_time >= %s"""


@dataclass(slots=True)
class Canaries:
    """The canaries of a run.

    Attributes:
        org: of their devices.
        sent: value and device time, microseconds, of each.
        seconds: from publishing to the committed row, as far as one looked: up to 50 ms late.
        stalls: seconds that passed between two rows, or before the first, while some were waited for.
    """

    org: str
    sent: dict[Letter, tuple[float, int]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    stalls: list[float] = field(default_factory=list)
    _waiting: dict[Letter, float] = field(default_factory=dict)
    _newest: float = 0.0

    async def fly(self, sessions: Sequence[Session]) -> None:
        """Publish one reading of each device in turn, for ever."""
        number = 0
        while True:
            for session in sessions:
                number += 1
                value, at = 50 + number % 70, clock.now()
                letter = (session.credential.device, number)
                self.sent[letter] = (float(value), at)
                self._waiting[letter] = time.monotonic()
                session.publish("vitals", message(Moment(to_text(at), number), value=str(value)), HANDLE)
            await asyncio.sleep(EVERY_SECONDS)

    async def watch(self, connection: AsyncConnection) -> None:
        """Look for their rows, for ever."""
        while True:
            await self.look(connection)
            await asyncio.sleep(LOOK_SECONDS)

    async def arrived(self, seconds: float) -> None:
        """Wait for the first rows, and count delays from then on: processes that were just started take a moment to begin.

        Args:
            seconds: at most.

        Raises:
            TimeoutError: none came.
        """
        async with asyncio.timeout(seconds):
            while not self.seconds or self.delay > FLOWS_SECONDS:
                await asyncio.sleep(LOOK_SECONDS)
                del self.seconds[:-NEWEST]
        self.seconds.clear()
        self.stalls.clear()

    async def look(self, connection: AsyncConnection) -> int:
        """Look once for the rows of those that wait.

        Returns:
            How many still wait.
        """
        if self._waiting:
            oldest = min(self.sent[letter][1] for letter in self._waiting)
            rows = await (await connection.execute(_SEEN, (self.org, to_datetime(oldest)))).fetchall()
            now = time.monotonic()
            since = max(self._newest, min(self._waiting.values()))
            for device, sequence in rows:
                begun = self._waiting.pop((device, sequence), None)
                if begun is not None:
                    self.seconds.append(now - begun)
                    self._newest = now
            if self._newest == now:
                self.stalls.append(now - since)
        return len(self._waiting)

    @property
    def delay(self) -> float:
        """Seconds that readings take just now: what the last ones took, or what the oldest waits already."""
        waits = time.monotonic() - min(self._waiting.values(), default=time.monotonic())
        return max(waits, *self.seconds[-NEWEST:], 0.0)
