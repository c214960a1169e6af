"""How old what the worker knows of the devices may be when it judges their messages.

A worker that stood still, or whose reading of the registry was interrupted, would go on with yesterday's loans: a reading would
be given to whoever had the device before. The keeper's heartbeat tells how fresh the view is; where it is missing (the keeper may
be away) Kafka is asked. So nobody waits for the keeper, and what is published is known within a second of its confirmation.
"""

from __future__ import annotations

from typing import Protocol

from runtime.clock import elapsed
from streams import events

FRESH_SECONDS = 1.0


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

    async def current(self) -> None:
        """Wait until no more than a second is missing."""
        if not self._view.fresh(FRESH_SECONDS) and not self._just_confirmed():
            await self._confirm()

    async def renew(self) -> bool:
        """Look once more, for a message that nothing is known about.

        Returns:
            False where that was done within the last second: then nothing is known indeed. A crowd of strangers costs no more.
        """
        if self._just_confirmed():
            return False
        await self._confirm()
        return True

    def _just_confirmed(self) -> bool:
        return elapsed() - self._confirmed_at < FRESH_SECONDS

    async def _confirm(self) -> None:
        asked_at = elapsed()
        await self._view.confirm()
        self._confirmed_at = asked_at
        events.REGISTRY_CONFIRMED.emit()
