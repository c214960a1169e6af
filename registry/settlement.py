"""Stored readings follow a corrected loan or clock.

They move in the correction's own transaction, so that no query ever sees the one without the other. Readings that were in
flight at that moment may still carry the old subject or time: the keeper looks the same span through once more when the store
has passed them (``registry.settling``). Both use one function of the database, which derives each row anew from loans and
corrections as they stand. It finds a device's readings through everybody who ever had the device (``device_borrowers``, written
by a trigger of ``loans``), since a worker names a reading by a loan it was told of. So a device that nobody ever had has none,
stored or in flight, and its first loan leaves nothing to settle.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from catalogue.device import MODEL_BY_NAME
from contracts.instants import to_datetime
from contracts.registry import Period
from registry.outbox import Database

LAST = datetime(9999, 12, 31, tzinfo=UTC)
SETTLE = "SELECT moved, set_aside FROM settle_observations(%s, %s, %s, %s)"


@dataclass(frozen=True)
class Moved:
    """What a correction did to stored readings.

    Attributes:
        moved: readings that got another subject or time, or came back.
        set_aside: readings that by the corrected loans belong to nobody, and are kept apart.
    """

    moved: int
    set_aside: int


@dataclass(frozen=True)
class Span:
    """A half-open span of device time."""

    start: datetime
    end: datetime


def span_of(periods: list[Period], widest_offset: int) -> Span:
    """Give the span of device time that corrected periods touch.

    Args:
        periods: old and new.
        widest_offset: largest clock correction of the device in microseconds, by which device time and effective time differ.

    Returns:
        The span from the first start to the last end.
    """
    start = min(period.start for period in periods) - widest_offset
    ends = [period.end for period in periods]
    end = None if any(end is None for end in ends) else max(end for end in ends if end is not None) + widest_offset
    return Span(to_datetime(start), LAST if end is None else min(to_datetime(end), LAST))


def widest_offset(connection: Database, key: int) -> int:
    """Give the largest clock correction of a device, either way, in microseconds."""
    row = connection.execute(
        "SELECT coalesce(max(abs(offset_microseconds)), 0) FROM clock_corrections WHERE device_key = %s", (key,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def ever_lent(connection: Database, key: int) -> bool:
    """Tell whether somebody ever had a device; if not, there is no reading of it to settle. Ask before a loan is written.

    Borrowers are remembered since a migration, which knew loans and readings as they stood then. Where both were gone, what was
    set aside tells.
    """
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM device_borrowers WHERE device_key = %(key)s)"
        " OR EXISTS (SELECT FROM observations_set_aside WHERE device_key = %(key)s)",
        {"key": key},
    ).fetchone()
    assert row is not None
    return bool(row[0])


def move(connection: Database, key: int, span: Span) -> Moved:
    """Move stored readings of a device, within the transaction of the correction and before its outbox record."""
    model = connection.execute("SELECT model FROM devices WHERE device_key = %s", (key,)).fetchone()
    assert model is not None
    row = connection.execute(SETTLE, (key, span.start, span.end, late_after(model[0]))).fetchone()
    assert row is not None
    return Moved(*row)


def late_after(model: str) -> timedelta:
    """Give how long after measuring a reading of this model may arrive before it counts as late."""
    known = MODEL_BY_NAME.get(model)
    return timedelta(seconds=known.late_after_seconds if known is not None else 0)


def request(connection: Database, key: int, span: Span, version: int) -> None:
    """Ask the keeper to look the span through once more, after the record of this version has reached the processors."""
    connection.execute(
        "INSERT INTO settlements (device_key, starts_at, ends_at, version) VALUES (%s, %s, %s, %s)",
        (key, span.start, span.end, version),
    )
