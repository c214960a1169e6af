"""The present, read at the edge only; rules take it as a value."""

from __future__ import annotations

from time import CLOCK_BOOTTIME, clock_gettime, time_ns


def now() -> int:
    """Read the wall clock.

    Returns:
        Microseconds since 1970-01-01T00:00:00Z.
    """
    return time_ns() // 1000


def elapsed() -> float:
    """Read the clock that no step moves, and that goes on while a process is stopped or the machine asleep.

    Returns:
        Seconds since the machine's start; good only for differences on this machine.
    """
    return clock_gettime(CLOCK_BOOTTIME)
