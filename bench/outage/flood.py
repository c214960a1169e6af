"""One device that sends as fast as it can, beside others that keep to their quota."""

from __future__ import annotations

import asyncio
import time

from bench.outage.load import TICK_SECONDS, Ear, Sender
from bench.outage.options import Flooded
from ingest.settings import IngestSettings

LEAST_TIMES, MOST_TIMES = 10.0, 50.0
"""So many times its quota a device has to send to count as flooding, and sends at the most."""
FIRST_SEQUENCE = 1_000_000_000
"""Above the numbers of all other messages."""
TOLD_SECONDS = 120.0
"""Within so many seconds its burst is used up, and it has to be told."""


class Flooder:
    """The device that floods.

    Args:
        sender: its session, which keeps nothing.
        ear: hears what it is answered.
        quota: what the bridge takes of each device.
    """

    def __init__(self, sender: Sender, ear: Ear, quota: IngestSettings) -> None:
        self.sender = sender
        self._ear = ear
        self._quota = quota
        self._begun = self._ended = 0.0
        self._told_after: float | None = None

    async def flood(self, seconds: float) -> None:
        """Flood until the device is told to stop, and go on for a while all the same.

        Args:
            seconds: how long it goes on.
        """
        publishing = asyncio.create_task(self._publish())
        telling = asyncio.create_task(self._ear.first_told.wait())
        try:
            await asyncio.wait({publishing, telling}, timeout=TOLD_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                self._told_after = time.monotonic() - self._begun
            await asyncio.wait({publishing}, timeout=seconds)
            if publishing.done():
                publishing.result()  # what ended it before its time ends the run
        finally:
            publishing.cancel()
            telling.cancel()
            await asyncio.gather(publishing, telling, return_exceptions=True)

    async def _publish(self) -> None:
        """Send, for ever; of what the socket did not take at most a second is made up for."""
        number, most = FIRST_SEQUENCE, MOST_TIMES * self._quota.quota_messages_per_second
        self._begun = last = time.monotonic()
        owed = 0.0
        while True:
            self._ended = now = time.monotonic()
            owed, last = owed + min(now - last, 1.0) * most, now
            for _ in range(int(owed)):
                self.sender.write(number, now)
                number += 1
            owed -= int(owed)
            await self.sender.session.drain()
            await asyncio.sleep(TICK_SECONDS)

    def found(self, others: dict[str, int]) -> Flooded:
        """Tell how it went, once every answer came.

        Args:
            others: errors that other devices were told, by their code.
        """
        return Flooded(
            quota=self._quota.quota_messages_per_second,
            burst=self._quota.quota_burst_messages,
            sent=len(self.sender.sent),
            seconds=self._ended - self._begun,
            told_after=self._told_after,
            answered_seconds=max(0.0, self._ear.last_receipt - self._begun),
            told=dict(self._ear.told),
            told_others=others,
        )
