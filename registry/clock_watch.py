"""Tells when somebody sets the machine's clock: arrival times, and what is judged by them, are then off by as much."""

from __future__ import annotations

import asyncio

from contracts.instants import SECOND
from registry import events
from runtime import clock

LOOK_SECONDS = 1.0
STEP_SECONDS = 0.5
"""More than any clock that is only steered goes astray between two looks."""
DOUBT_SECONDS = 0.1
"""Two clocks that were not read within this time of each other say nothing."""


class Steps:
    """Compares the wall clock with one that nobody can set; pure."""

    def __init__(self) -> None:
        self._between: float | None = None

    def take(self, wall: int, elapsed: float) -> float:
        """Take in what both say at the same moment.

        Args:
            wall: microseconds.
            elapsed: seconds of the steady clock.

        Returns:
            By how many seconds the wall clock was set on since the last call, negative where it was set back; 0 where it was not.
        """
        between = wall / SECOND - elapsed
        step = 0.0 if self._between is None else between - self._between
        self._between = between
        return step if abs(step) > STEP_SECONDS else 0.0


class ClockWatch:
    """Watches the machine's clock as long as this keeper leads."""

    async def run(self) -> None:
        """Watch for ever."""
        steps = Steps()
        while True:
            before = clock.elapsed()
            wall = clock.now()
            if clock.elapsed() - before < DOUBT_SECONDS and (step := steps.take(wall, before)):
                events.CLOCK_STEPPED.emit(seconds=round(step, 3))
            await asyncio.sleep(LOOK_SECONDS)
