"""Making the registry topics agree with the database, at the beginning of every publication.

Three things may have come apart: a table and its newest outbox record (changed by hand), the outbox and Kafka (a lost or
emptied Kafka), and their versions (a database restored from a backup, which counts on from where it was then). The database is
right, but for one thing: what ended by Kafka's record has ended (``registry.endings``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from contracts.registry import Record
from registry import endings, events, restored, snapshot
from registry.endings import Standing
from registry.outbox import LOCK, content
from registry.publication import Line, Publication

Connection = AsyncConnection[tuple[Any, ...]]
Key = tuple[str, str]
"""Topic and key."""
CHUNK = 2000
"""Records of one Kafka transaction."""


class Newest(NamedTuple):
    """The newest outbox record of a key."""

    version: int
    value: dict[str, Any] | None
    published: bool


class Plan(NamedTuple):
    """What a resync has to do.

    Attributes:
        lines: to publish as they are, with the versions they have.
        renew: keys whose record needs a new version, above all that Kafka holds.
        beyond: the highest version in Kafka where it lies above the outbox's, else 0.
    """

    lines: list[Line]
    renew: list[Key]
    beyond: int


def plan(newest: Mapping[Key, Newest], found: Mapping[Key, bytes], last_version: int) -> Plan:
    """Compare the outbox with what the topics hold.

    Args:
        newest: newest outbox record by topic and key.
        found: newest value by topic and key in Kafka.
        last_version: the highest version the outbox ever gave.

    Returns:
        What has to be done. Records that are not published yet are left to the outbox itself.
    """
    held = {key: _parsed(value) for key, value in found.items()}
    highest = _highest(held)
    beyond = highest if highest > last_version else 0
    lines = [Line(*key, None) for key in sorted(found.keys() - newest.keys())]
    renew: list[Key] = []
    for key, record in sorted(newest.items(), key=lambda item: item[1].version):
        there = held.get(key)
        if beyond:
            renew.append(key)
        elif not record.published or there == record.value:
            continue
        elif there is not None and record.value is not None and _version(there) >= record.version:
            renew.append(key)  # other contents under this version or a later one: only a new version replaces it
        else:
            lines.append(Line(*key, None if record.value is None else json.dumps(record.value).encode()))
    return Plan(lines, renew, beyond)


def _parsed(value: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(value)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _highest(held: Mapping[Key, Mapping[str, Any]]) -> int:
    return max((_version(value) for value in held.values()), default=0)


def _version(value: Mapping[str, Any]) -> int:
    version = value.get("version")
    return version if isinstance(version, int) else 0


def drift(tables: Mapping[Key, Record], newest: Mapping[Key, Newest]) -> dict[Key, Record | None]:
    """Find where a table and its newest outbox record disagree.

    Args:
        tables: a record without version for everything that exists.
        newest: newest outbox record by topic and key.

    Returns:
        What should be published instead; None where something exists no more.
    """
    wrong: dict[Key, Record | None] = {}
    for key, record in tables.items():
        known = newest.get(key)
        if known is None or not _same(record, known.value):
            wrong[key] = record
    gone = (key for key, known in newest.items() if key not in tables and known.value is not None)
    return wrong | dict.fromkeys(gone)


def _same(record: Record, value: dict[str, Any] | None) -> bool:
    if value is None:
        return False
    try:
        return type(record).model_validate(value).model_copy(update={"version": record.version}) == record
    except ValidationError:
        return False


async def run(connection: Connection, publication: Publication) -> None:
    """Make tables, outbox and topics agree.

    Args:
        connection: the keeper's, every statement a transaction of its own.
        publication: open, so that nobody else writes.

    Raises:
        psycopg.Error, KafkaError, TimeoutError: a server did not answer; nothing is half done that a second run would not
        complete.
    """
    found = await publication.survey()
    held = {key: _parsed(value) for key, value in found.items()}
    async with connection.transaction():
        # Whoever changes the registry takes this lock before committing: while we hold it, tables and outbox stand still
        # together.
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        before = await _newest(connection)
        last = await _last_version(connection)
        another = not await restored.confirmed(connection)
        tables = await snapshot.read(connection)
        doubtful = another or _highest(held) > last
        ended = list(endings.find(tables, held, await _standings(connection, before, held, doubtful=doubtful)))
        if ended:
            await restored.bring_back(connection, ended)
            tables = await snapshot.read(connection)
        drifted = drift(tables, before)
        for key, record in drifted.items():
            await _append(connection, key, None if record is None else content(record))
        newest = await _newest(connection)
        todo = plan(newest, found, last)
        if todo.beyond:
            await connection.execute("SELECT outbox_skip_to(%s)", (todo.beyond,))
        for key in todo.renew:
            await _append(connection, key, newest[key].value)
        if todo.beyond:
            # All of it comes again under a later version: what waits from before the backup is old by now, and may have ended.
            await connection.execute(
                "UPDATE outbox SET published_at = clock_timestamp() WHERE published_at IS NULL AND version <= %s", (todo.beyond,)
            )
        if ended:
            versions = {key: record.version for key, record in (await _newest(connection)).items()}
            await restored.request_settlements(connection, ended, versions)
        await restored.confirm(connection)
    # Told once it is committed; and before Kafka, which may keep us waiting.
    restored.tell(ended)
    _tell(drifted, found.keys() - newest.keys(), todo.beyond, another=another)
    for start in range(0, len(todo.lines), CHUNK):
        await publication.publish(todo.lines[start : start + CHUNK], None)
    events.REGISTRY_RESYNCED.emit(published=len(todo.lines), renewed=len(todo.renew) + len(drifted), found=len(found))


def _tell(drifted: Iterable[Key], forgotten: Iterable[Key], beyond: int, *, another: bool) -> None:
    if another:
        events.DATABASE_REPLACED.emit()
    if beyond:
        events.VERSION_RAISED.emit(version=beyond)
    for topic, _ in drifted:
        events.DRIFT_REPAIRED.emit(topic=topic)
    for topic, key in sorted(forgotten):
        events.RECORD_FORGOTTEN.emit(topic=topic, key=key)


async def _standings(
    connection: Connection, newest: Mapping[Key, Newest], held: Mapping[Key, Mapping[str, Any]], *, doubtful: bool
) -> dict[Key, Standing]:
    """Tell of each record in Kafka whether the database knows it.

    Old records leave the outbox once later ones are published; so it is searched for them only where the database may be a
    restored one, whose later versions can be other changes than Kafka's.
    """
    known = {key: (newest[key].version, newest[key].value) if key in newest else None for key in held}
    found = {key: endings.standing(value, known[key], in_outbox=True) for key, value in held.items()}
    if doubtful:
        ahead = {key: held[key] for key, how in found.items() if how is Standing.AHEAD}
        stands = await restored.in_outbox(connection, ahead)
        found |= dict.fromkeys(ahead.keys() - stands, Standing.BEHIND)
    return found


async def _newest(connection: Connection) -> dict[Key, Newest]:
    rows = await connection.execute(
        "SELECT DISTINCT ON (topic, key) topic, key, version, value, published_at IS NOT NULL FROM outbox"
        " ORDER BY topic, key, version DESC"
    )
    return {(topic, key): Newest(version, value, published) async for topic, key, version, value, published in rows}


async def _last_version(connection: Connection) -> int:
    row = await (await connection.execute("SELECT coalesce(max(version), 0) FROM outbox")).fetchone()
    assert row is not None
    return int(row[0])


async def _append(connection: Connection, key: Key, value: dict[str, Any] | None) -> None:
    await connection.execute("SELECT outbox_append(%s, %s, %s)", (*key, None if value is None else Jsonb(value)))
