"""A change that several tasks wait for, each on its own."""

from __future__ import annotations

import asyncio


class Signal:
    """Wakes tasks; what is raised between two waits is not lost."""

    def __init__(self) -> None:
        self._events: list[asyncio.Event] = []

    def ear(self) -> Ear:
        """Give a task its own ear."""
        event = asyncio.Event()
        self._events.append(event)
        return Ear(event)

    def raise_(self) -> None:
        """Wake whoever listens."""
        for event in self._events:
            event.set()


class Ear:
    """One task's side of a signal."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def wait(self, seconds: float) -> bool:
        """Wait for the signal.

        Args:
            seconds: how long at most; with 0 it only looks.

        Returns:
            Whether it was raised since the last wait.
        """
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
