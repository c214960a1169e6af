"""The present, read at the edge only; rules take it as a value."""

from __future__ import annotations

from time import time_ns


def now() -> int:
    """Read the wall clock.

    Returns:
        Microseconds since 1970-01-01T00:00:00Z.
    """
    return time_ns() // 1000
