"""Clock corrections: a device's clock was wrong for a while, and by how much (design section 5, 3).

``device_time`` never changes; ``effective_at`` of stored readings follows the correction, and messages that were quarantined
for their clock go through when they are replayed.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.errors import ExclusionViolation

from contracts.ids import device_key
from contracts.instants import DAY, from_datetime, to_datetime
from contracts.registry import Period
from registry import devices, settlement
from registry.loans import Change, replayable
from registry.outbox import Database
from registry.records import checked_period
from registry.refusal import Refused
from registry.settlement import Moved

OFFSET_MAX = 60 * 366 * DAY
"""Sixty years: a clock that starts at 1970 is the worst that occurs."""


@dataclass(frozen=True)
class CorrectionRow:
    """A correction as lists show it.

    Attributes:
        correction_id: number by which it is taken back.
        start: first device time it holds for, microseconds.
        end: first device time it no longer holds for, or None.
        offset: microseconds to add to device time.
    """

    correction_id: int
    start: int
    end: int | None
    offset: int


def correct(connection: Database, org: str, device: str, start: int, end: int | None, offset: int) -> Change:
    """Record that a device's clock was wrong.

    Args:
        connection: operator's.
        org: organisation.
        device: device.
        start: first device time (as the wrong clock showed it) it holds for, microseconds.
        end: first device time it no longer holds for, or None for "still".
        offset: microseconds to add to device time to get the true time.

    Returns:
        What changed, with the number of messages in quarantine for their clock.

    Raises:
        Refused: device unknown, offset zero or beyond sixty years, or another correction overlaps.
    """
    period = checked_period(start, end)
    if offset == 0 or abs(offset) > OFFSET_MAX:
        raise Refused("The offset must not be zero, nor more than sixty years.")
    with connection.transaction():
        key = devices.lock(connection, org, device, retired_too=True)
        try:
            with connection.transaction():
                connection.execute(
                    "INSERT INTO clock_corrections (device_key, starts_at, ends_at, offset_microseconds) VALUES (%s, %s, %s, %s)",
                    (key, to_datetime(start), None if end is None else to_datetime(end), offset),
                )
        except ExclusionViolation:
            raise Refused(
                f"Another clock correction of '{device_key(org, device)}' overlaps.",
                f"See: ./agora device show {device_key(org, device)}; take it back with correct-clock --remove NUMBER.",
            ) from None
        return _finish(connection, key, org, device, period)


def remove(connection: Database, org: str, device: str, correction_id: int) -> Change:
    """Take a correction back; ``effective_at`` is device time again.

    Raises:
        Refused: the device has no such correction.
    """
    with connection.transaction():
        key = devices.lock(connection, org, device, retired_too=True)
        row = connection.execute(
            "DELETE FROM clock_corrections WHERE correction_id = %s AND device_key = %s RETURNING starts_at, ends_at",
            (correction_id, key),
        ).fetchone()
        if row is None:
            raise Refused(f"'{device_key(org, device)}' has no clock correction {correction_id}.")
        end = None if row[1] is None else from_datetime(row[1])
        return _finish(connection, key, org, device, Period(start=from_datetime(row[0]), end=end))


def list_corrections(connection: Database, org: str, device: str) -> list[CorrectionRow]:
    """List a device's clock corrections in the order of their start."""
    rows = connection.execute(
        "SELECT c.correction_id, c.starts_at, c.ends_at, c.offset_microseconds FROM clock_corrections c"
        " JOIN devices d USING (device_key) WHERE d.org = %s AND d.name = %s ORDER BY c.starts_at",
        (org, device),
    )
    return [CorrectionRow(number, from_datetime(a), None if b is None else from_datetime(b), by) for number, a, b, by in rows]


def _finish(connection: Database, key: int, org: str, device: str, period: Period) -> Change:
    waiting = replayable(connection, org, device, "clock")
    if not settlement.ever_lent(connection, key):
        return Change(devices.announce(connection, org, device), Moved(0, 0), waiting)
    span = settlement.span_of([period], 0)  # a correction's period is device time already
    moved = settlement.move(connection, key, span)
    version = devices.announce(connection, org, device)
    settlement.request(connection, key, span, version)
    return Change(version, moved, waiting)
