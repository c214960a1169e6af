"""How old what the worker knows of the devices may be when it judges their messages.

A worker that stood still, or whose reading of the registry was interrupted, would go on with yesterday's loans: a reading would
be given to whoever had the device before. The keeper's heartbeat tells how fresh the view is; where it is missing (the keeper may
be away) Kafka is asked. So nobody waits for the keeper, and what is published is known two seconds after its confirmation.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from runtime.clock import elapsed
from streams import events

RENEW_SECONDS = 0.5
"""Older than this, it is looked after beside the work."""
OLDEST_SECONDS = 2.0
"""Older than this, the work waits."""
STRANGERS_SECONDS = 1.0


class View(Protocol):
    """What the knowledge comes from."""

    def fresh(self, seconds: float) -> bool:
        """Tell whether it is known as it stood less than so many seconds ago."""

    async def confirm(self) -> None:
        """Wait until everything that stands in the topic now is known."""


class Knowledge:
    """Keeps the view from growing old unnoticed.

    Args:
        view: of the devices.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._confirmed_at = float("-inf")
        self._renewed_at = float("-inf")
        self._confirming: asyncio.Task[None] | None = None

    async def current(self) -> None:
        """Make sure that no more is missing than came in the last two seconds; it hardly ever waits."""
        if self._known_within(RENEW_SECONDS):
            return
        confirming = self._confirm()
        began = elapsed()
        # One that began before a standstill may end after it, and say nothing about what came in between.
        while not self._known_within(OLDEST_SECONDS) and self._confirmed_at < began:
            await confirming
            confirming = self._confirm()

    async def renew(self) -> bool:
        """Look once more, for a message that nothing is known about.

        Returns:
            False where that was done within the last second: then nothing is known indeed. A crowd of strangers costs no more.
        """
        began = elapsed()
        if began - self._renewed_at < STRANGERS_SECONDS:
            return False
        self._renewed_at = began
        while self._confirmed_at < began:
            await self._confirm()
        return True

    def _known_within(self, seconds: float) -> bool:
        return elapsed() - self._confirmed_at < seconds or self._view.fresh(seconds)

    def _confirm(self) -> asyncio.Task[None]:
        if self._confirming is None or self._confirming.done():
            self._confirming = asyncio.create_task(self._ask(), name="confirm the registry")
        return self._confirming

    async def _ask(self) -> None:
        asked_at = elapsed()
        await self._view.confirm()
        self._confirmed_at = asked_at
        events.REGISTRY_CONFIRMED.emit()
