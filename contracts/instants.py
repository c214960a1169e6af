"""Instants as whole microseconds since 1970-01-01T00:00:00Z (an ``int``), the one form inside the platform.

An ``int`` compares, hashes and travels cheaper than ``datetime`` and cannot be naive. ``datetime`` appears at the edges.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000
"""Microseconds in a second."""
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def from_datetime(moment: datetime) -> int:
    """Turn an aware ``datetime`` into an instant.

    Args:
        moment: any aware date and time; the zone is honoured.

    Returns:
        Whole microseconds since the epoch, negative before 1970.

    Raises:
        TypeError: when ``moment`` is naive; a time without a zone is never guessed.
    """
    return (moment - EPOCH) // MICROSECOND


def to_datetime(instant: int) -> datetime:
    """Turn an instant into an aware UTC ``datetime``.

    Args:
        instant: microseconds since the epoch, within the years 1 to 9999.

    Returns:
        The same moment, in UTC.

    Raises:
        OverflowError: when the instant lies outside the years 1 to 9999.
    """
    return EPOCH + timedelta(microseconds=instant)


def to_text(instant: int) -> str:
    """Write an instant as RFC 3339 in UTC with microseconds, as FHIR ``instant`` and our JSON show it.

    Args:
        instant: microseconds since the epoch.

    Returns:
        For example ``2026-11-22T10:00:00.250000Z``.
    """
    second, rest = divmod(instant, SECOND)
    return f"{_second(second)}.{rest:06d}Z"


@lru_cache(maxsize=4_096)
def _second(second: int) -> str:
    """Live readings are of few seconds, and there are many of each."""
    return to_datetime(second * SECOND).isoformat()[:19]


def hour_of(instant: int) -> int:
    """Give the start of the UTC hour in which an instant lies.

    Args:
        instant: microseconds since the epoch.

    Returns:
        The instant of the full hour at or before it.
    """
    return instant - instant % HOUR
