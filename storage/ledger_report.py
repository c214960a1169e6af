"""The ledger by device and hour, and numbers that a device sent and nobody saw."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

from contracts.observation import Quality


@dataclass(frozen=True)
class DeviceHour:
    """One device in one hour of arrival, in messages; ``readings_stored`` in readings.

    Messages of a frame that straddles the full hour may be received in the one and stored in the other.
    """

    hour: datetime
    org: str
    device: str
    received: int
    replayed: int
    stored: int
    duplicate: int
    quarantined: int
    readings_stored: int


@dataclass(frozen=True)
class Gap:
    """Numbers ``first`` to ``last`` which a device counted and which are neither stored nor in quarantine."""

    org: str
    device: str
    first: int
    last: int

    @property
    def missing(self) -> int:
        """How many."""
        return self.last - self.first + 1


_DEVICES = """
SELECT hour, org, device, received, replayed, stored, duplicate_normalise + duplicate_store AS duplicate,
    quarantined_normalise + quarantined_store AS quarantined, readings_stored
FROM ledger_devices WHERE (%(device)s = '' OR org || '/' || device = %(device)s)
    AND hour >= date_trunc('hour', %(since)s::timestamptz)
ORDER BY hour DESC, org, device LIMIT %(limit)s"""
_GAPS = """
WITH counted AS (
    SELECT DISTINCT device_key, sequence FROM observations
    WHERE device_time >= %(since)s AND quality & %(sequenced)s <> 0
        AND (%(device)s = '' OR device_key = (SELECT device_key FROM devices WHERE org || '/' || name = %(device)s))
), steps AS (
    SELECT device_key, sequence, lead(sequence) OVER (PARTITION BY device_key ORDER BY sequence) AS following FROM counted
)
SELECT d.org, d.name AS device, sequence + 1 AS first, following - 1 AS last
FROM steps JOIN devices d USING (device_key) WHERE following > sequence + 1 ORDER BY 1, 2, 3"""
_QUARANTINED = """
SELECT payload FROM quarantine WHERE org = %s AND device = %s AND received_at >= %s AND octet_length(payload) < 1000000"""


async def device_hours(connection: AsyncConnection, since: datetime, device: str = "", limit: int = 200) -> list[DeviceHour]:
    """Read the ledger's rows.

    Args:
        connection: of a role that reads the ledger.
        since: the first hour.
        device: ``<org>/<device>``, or empty for all.
        limit: at most so many, newest first.

    Returns:
        Rows by hour and device.
    """
    async with connection.cursor(row_factory=class_row(DeviceHour)) as cursor:
        await cursor.execute(_DEVICES, {"since": since, "device": device, "limit": limit})
        return await cursor.fetchall()


async def gaps(connection: AsyncConnection, since: datetime, device: str = "") -> list[Gap]:
    """Find numbers that are missing between the first and the last a device sent: "the device sent, we never saw".

    A device that does not number its messages is left out; one that starts counting anew fills the old numbers, and one
    that skips numbers on purpose shows gaps that are none. What is on its way at this moment shows until it is stored.

    Args:
        connection: of a role that reads observations and quarantine.
        since: readings measured from then on, by the device's clock.
        device: ``<org>/<device>``, or empty for all.

    Returns:
        Stretches of missing numbers, by device; those found in quarantine are left out.
    """
    async with connection.cursor(row_factory=class_row(Gap)) as cursor:
        await cursor.execute(_GAPS, {"since": since, "device": device, "sequenced": int(Quality.SEQUENCED)})
        found = await cursor.fetchall()
    left: list[Gap] = []
    seen: dict[tuple[str, str], set[int]] = {}
    for gap in found:
        key = gap.org, gap.device
        if key not in seen:
            rows = await (await connection.execute(_QUARANTINED, (*key, since))).fetchall()
            seen[key] = set(_sequences(payload for (payload,) in rows))
        left += without(gap, seen[key])
    return left


def without(gap: Gap, numbers: Iterable[int]) -> list[Gap]:
    """Take numbers out of a gap.

    Args:
        gap: a stretch of numbers.
        numbers: to take out; those outside it do not matter.

    Returns:
        What is left, in stretches.
    """
    left: list[Gap] = []
    first = gap.first
    for number in sorted(number for number in set(numbers) if gap.first <= number <= gap.last):
        if number > first:
            left.append(Gap(gap.org, gap.device, first, number - 1))
        first = number + 1
    if first <= gap.last:
        left.append(Gap(gap.org, gap.device, first, gap.last))
    return left


def _sequences(payloads: Iterable[bytes]) -> Iterator[int]:
    """Find sequence numbers in quarantined messages, as far as they are JSON."""
    for payload in payloads:
        try:
            yield from _sequences_in(json.loads(payload))
        except (ValueError, RecursionError):
            continue


def _sequences_in(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        number = value.get("sequence")
        if isinstance(number, int) and not isinstance(number, bool):
            yield number
        for inner in value.values():
            yield from _sequences_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _sequences_in(inner)
