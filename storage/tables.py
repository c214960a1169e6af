"""Writing everything but observations: positions, ledger, quarantine and alerts. Each statement writes all rows of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from psycopg import AsyncConnection

from contracts.alerts import AlertTransition
from contracts.instants import SECOND, to_datetime
from contracts.outcomes import RawOutcome
from storage.batch import SetAside
from storage.pieces import Source
from storage.tally import DEVICE_COUNTS, Counts, Deltas, RawKey, Reclassified

Place = tuple[str, int]
"""Topic and partition."""

_FENCE = """
UPDATE offsets o SET next = n.upto
FROM unnest(%s::text[], %s::int[], %s::bigint[], %s::bigint[]) AS n(topic, partition, since, upto)
WHERE o.topic = n.topic AND o.partition = n.partition AND o.next = n.since"""
_RAW = """
INSERT INTO ledger_raw (raw_partition, raw_offset, hour, received, replayed, accepted, duplicate, quarantined, readings)
SELECT p, o, to_timestamp(h), r, y, a, d, q, v FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::int[], %s::int[], %s::int[],
    %s::int[], %s::int[], %s::int[]) AS n(p, o, h, r, y, a, d, q, v)
ON CONFLICT DO NOTHING RETURNING raw_partition, raw_offset"""
_STORED = """
INSERT INTO ledger_stored (raw_partition, raw_offset, vitals_partition, messages_stored, messages_duplicate, messages_quarantined,
    readings_stored, readings_duplicate, readings_quarantined)
SELECT * FROM unnest(%s::int[], %s::bigint[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[])
ON CONFLICT DO NOTHING RETURNING raw_partition, raw_offset, vitals_partition"""
_RECLASSIFY = """
WITH excess AS (
    SELECT r.raw_partition, r.raw_offset, least(s.number - r.accepted, r.duplicate) AS duplicate,
        greatest(s.number - r.accepted - r.duplicate, 0) AS quarantined
    FROM unnest(%s::int[], %s::bigint[]) AS n(p, o) JOIN ledger_raw r ON (r.raw_partition, r.raw_offset) = (n.p, n.o)
    CROSS JOIN LATERAL (
        SELECT sum(messages_stored + messages_duplicate + messages_quarantined)::int AS number FROM ledger_stored
        WHERE (raw_partition, raw_offset) = (n.p, n.o)
    ) s
    WHERE NOT r.resent AND s.number > r.accepted AND s.number <= r.accepted + r.duplicate + r.quarantined
)
UPDATE ledger_raw r SET accepted = r.accepted + e.duplicate + e.quarantined, duplicate = r.duplicate - e.duplicate,
    quarantined = r.quarantined - e.quarantined
FROM excess e WHERE (r.raw_partition, r.raw_offset) = (e.raw_partition, e.raw_offset)
RETURNING r.raw_partition, r.raw_offset, extract(epoch FROM r.hour)::bigint, e.duplicate, e.quarantined"""
_DEVICES = """
INSERT INTO ledger_devices AS d (hour, org, device, {columns})
SELECT to_timestamp(n.hour), n.org, n.device, {numbers} FROM unnest(%s::bigint[], %s::text[], %s::text[], {arrays})
    AS n(hour, org, device, {columns})
ON CONFLICT (hour, org, device) DO UPDATE SET {sums}""".format(
    columns=", ".join(DEVICE_COUNTS),
    numbers=", ".join(f"n.{column}" for column in DEVICE_COUNTS),
    arrays=", ".join(["%s::bigint[]"] * len(DEVICE_COUNTS)),
    sums=", ".join(f"{column} = d.{column} + excluded.{column}" for column in DEVICE_COUNTS),
)
_QUARANTINE = """
INSERT INTO quarantine (source, source_index, messages, org, device, stage, code, words, field, topic, payload, received_at,
    quarantined_at, software, correlation, message_id, replay_of, raw_source)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (source, source_index, stage) DO NOTHING"""
_ALERT = """
INSERT INTO alert_transitions (alert, number, org, subject, rule, rule_version, vital, transition, severity, at, onset, value,
    unit, reading, actor, about_past, received_at, note)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (alert, number) DO NOTHING"""


async def move_positions(connection: AsyncConnection, steps: Mapping[Place, tuple[int, int]]) -> bool:
    """Move positions on; the fence against a second writer.

    Args:
        connection: in a transaction.
        steps: by place, where the database must stand, and where it goes.

    Returns:
        False when it stands elsewhere: another writer was here.
    """
    places = sorted(steps)
    arrays = (
        [topic for topic, _ in places],
        [partition for _, partition in places],
        [steps[place][0] for place in places],
        [steps[place][1] for place in places],
    )
    return (await connection.execute(_FENCE, arrays)).rowcount == len(places)


async def load_positions(connection: AsyncConnection, places: Iterable[Place]) -> dict[Place, int]:
    """Read where the database stands, 0 for a partition that was never read."""
    ordered = sorted(places)
    arrays = [topic for topic, _ in ordered], [partition for _, partition in ordered]
    await connection.execute(
        "INSERT INTO offsets (topic, partition, next) SELECT topic, partition, 0 FROM unnest(%s::text[], %s::int[])"
        " AS n(topic, partition) ON CONFLICT DO NOTHING",
        arrays,
    )
    found = await connection.execute(
        "SELECT topic, partition, next FROM offsets JOIN unnest(%s::text[], %s::int[]) AS n(topic, partition)"
        " USING (topic, partition)",
        arrays,
    )
    return {(topic, partition): following for topic, partition, following in await found.fetchall()}


async def enter_outcomes(connection: AsyncConnection, outcomes: Iterable[RawOutcome]) -> list[RawOutcome]:
    """Write ledger records.

    Returns:
        Those that were new, to be counted by device.
    """
    by_key: dict[tuple[int, int], RawOutcome] = {}
    for outcome in outcomes:
        by_key.setdefault((outcome.partition, outcome.offset), outcome)
    if not by_key:
        return []
    rows = [(*key, by_key[key].hour // SECOND, *_sums(by_key[key])) for key in sorted(by_key)]
    new = await connection.execute(_RAW, [_numbers(column) for column in zip(*rows, strict=True)])
    return [by_key[partition, offset] for partition, offset in await new.fetchall()]


def _sums(outcome: RawOutcome) -> tuple[int, ...]:
    received = replayed = accepted = duplicate = quarantined = readings = 0
    for one in outcome.devices:
        received += one.received
        replayed += one.replayed
        accepted += one.accepted
        duplicate += one.duplicate
        quarantined += one.quarantined
        readings += one.readings
    return received, replayed, accepted, duplicate, quarantined, readings


async def enter_stored(connection: AsyncConnection, counts: Mapping[Source, Counts]) -> set[Source]:
    """Write what became of vitals records.

    Returns:
        Those that were new, to be counted by device.
    """
    if not counts:
        return set()
    rows = [(*source, *counts[source]) for source in sorted(counts)]
    new = await connection.execute(_STORED, [_numbers(column) for column in zip(*rows, strict=True)])
    return {Source(*row) for row in await new.fetchall()}


async def reclassify(connection: AsyncConnection, raw_records: Iterable[RawKey]) -> dict[RawKey, Reclassified]:
    """Count as accepted what reached the store although the ledger row calls it duplicate or quarantined.

    A worker that was killed goes over the last raw records again and remembers less than before: what was a duplicate in the
    first pass, whose row stands here, is then accepted and judged by the store. Only one of the two outcomes may count.

    Args:
        connection: in a transaction that has entered its rows.
        raw_records: those whose rows, or whose vitals records, were new in it.

    Returns:
        What was changed.
    """
    ordered = sorted(raw_records)
    if not ordered:
        return {}
    found = await connection.execute(_RECLASSIFY, [_numbers(column) for column in zip(*ordered, strict=True)])
    return {
        (partition, offset): Reclassified(hour * SECOND, duplicate, quarantined)
        for partition, offset, hour, duplicate, quarantined in await found.fetchall()
    }


async def add_to_devices(connection: AsyncConnection, deltas: Deltas) -> None:
    """Add counts to the ledger's rows per hour and device, in an order that is everybody's, so that no two writers deadlock."""
    if not deltas:
        return
    keys = sorted(deltas)
    columns: list[str] = [
        _numbers(hour // SECOND for hour, _, _ in keys),
        _words(org for _, org, _ in keys),
        _words(device for _, _, device in keys),
    ]
    columns += [_numbers(column) for column in zip(*(deltas[key] for key in keys), strict=True)]
    await connection.execute(_DEVICES, columns)


def _numbers(values: Iterable[int]) -> str:
    """Write an array literal: many times cheaper than handing the driver a list."""
    return "{" + ",".join(map(str, values)) + "}"


def _words(values: Iterable[str]) -> str:
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"


async def enter_quarantine(connection: AsyncConnection, set_aside: Sequence[SetAside]) -> None:
    """Write quarantine rows; what is there already stays as it is."""
    rows = [
        (
            one.source, one.index, one.messages,
            *map(_text, (one.org, one.device, one.stage, one.code, one.words, one.field, one.topic)),
            one.payload, to_datetime(one.received_at), to_datetime(one.quarantined_at), one.software, one.correlation,
            None if one.message_id is None else _text(one.message_id), one.replay_of, raw_source,
        )
        for one, raw_source in set_aside
    ]  # fmt: skip
    if rows:
        async with connection.cursor() as cursor:
            await cursor.executemany(_QUARANTINE, rows)


def _text(value: str) -> str:
    """Make a text storable: PostgreSQL's holds no NUL, and a field's path may carry what a device sent."""
    return value.replace("\0", "\N{SYMBOL FOR NULL}")


async def enter_alerts(connection: AsyncConnection, transitions: Sequence[AlertTransition]) -> None:
    """Write alert transitions; a repeat is known by (alert, number)."""
    rows = [
        (
            UUID(one.alert), one.number, one.org, one.subject, one.rule, one.rule_version, one.vital, one.transition,
            one.severity,
            to_datetime(one.at), to_datetime(one.onset), one.value, one.unit, one.reading, one.by, one.about_past,
            to_datetime(one.received_at), one.note,
        )
        for one in transitions
    ]  # fmt: skip
    if rows:
        async with connection.cursor() as cursor:
            await cursor.executemany(_ALERT, rows)
