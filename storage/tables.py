"""Writing positions, quarantine and alerts. Each statement writes all rows of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import psycopg
from psycopg import AsyncConnection

from contracts.alerts import AlertTransition
from contracts.instants import to_datetime
from storage.batch import SetAside
from storage.database import Undone

Place = tuple[str, int]
"""Topic and partition."""

_FENCE = """
UPDATE offsets o SET next = n.upto
FROM unnest(%s::text[], %s::int[], %s::bigint[], %s::bigint[]) AS n(topic, partition, since, upto)
WHERE o.topic = n.topic AND o.partition = n.partition AND o.next = n.since"""
_POSITIONS = """
SELECT topic, partition, next FROM offsets JOIN unnest(%s::text[], %s::int[]) AS n(topic, partition) USING (topic, partition)"""
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
ASK_TO_SETTLE = """
INSERT INTO settlements (device_key, starts_at, ends_at, version)
SELECT d.device_key, n.first, n.last, 0
FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[]) AS n(org, name, first, last)
JOIN devices d ON (d.org, d.name) = (n.org, n.name)"""
"""Version 0: no change of the registry has to become known first."""


class Held(Undone):
    """Another writer's transaction has moved the positions and is not over."""


async def move_positions(connection: AsyncConnection, steps: Mapping[Place, tuple[int, int]]) -> bool:
    """Move positions on; the fence against a second writer.

    Args:
        connection: in a transaction.
        steps: by place, where the database must stand, and where it goes.

    Returns:
        False when it stands elsewhere: another writer was here.

    Raises:
        Held: another writer is here, for longer than locks are waited for.
    """
    places = sorted(steps)
    arrays = (
        [topic for topic, _ in places],
        [partition for _, partition in places],
        [steps[place][0] for place in places],
        [steps[place][1] for place in places],
    )
    try:
        return (await connection.execute(_FENCE, arrays)).rowcount == len(places)
    except psycopg.errors.LockNotAvailable as error:
        raise Held("positions are held by another writer") from error


async def load_positions(connection: AsyncConnection, places: Iterable[Place]) -> dict[Place, int]:
    """Read where the database stands, 0 for a partition that was never read."""
    ordered = sorted(places)
    found = await _read_positions(connection, ordered)
    missing = [place for place in ordered if place not in found]
    if not missing:
        return found
    # Only what is missing: also one that does nothing on a conflict would wait for whoever is moving the position.
    await connection.execute(
        "INSERT INTO offsets (topic, partition, next) SELECT topic, partition, 0 FROM unnest(%s::text[], %s::int[])"
        " AS n(topic, partition) ON CONFLICT DO NOTHING",
        _columns(missing),
    )
    return await _read_positions(connection, ordered)


async def _read_positions(connection: AsyncConnection, places: Sequence[Place]) -> dict[Place, int]:
    found = await connection.execute(_POSITIONS, _columns(places))
    return {(topic, partition): following for topic, partition, following in await found.fetchall()}


def _columns(places: Sequence[Place]) -> tuple[list[str], list[int]]:
    return [topic for topic, _ in places], [partition for _, partition in places]


async def ask_to_settle(connection: AsyncConnection, spans: Mapping[tuple[str, str], tuple[int, int]]) -> None:
    """Ask the keeper to look once more whose readings are.

    Args:
        connection: in a transaction.
        spans: by organisation and device, the first and the last device time of the readings, microseconds.
    """
    ordered = sorted(spans.items())
    if ordered:
        names, times = zip(*ordered, strict=True)
        arrays = [[org for org, _ in names], [device for _, device in names]]
        ends = [[to_datetime(first) for first, _ in times], [to_datetime(last + 1) for _, last in times]]
        await connection.execute(ASK_TO_SETTLE, [*arrays, *ends])


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
