"""Making the registry topics agree with the database, at the beginning of every publication.

Three things may have come apart: a table and its newest outbox record (changed by hand), the outbox and Kafka (a lost or
emptied Kafka), and their versions (a database restored from a backup, which counts on from where it was then).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from contracts.registry import Record
from registry import events, snapshot
from registry.outbox import content
from registry.publication import Line, Publication

Connection = AsyncConnection[tuple[Any, ...]]
Key = tuple[str, str]
"""Topic and key."""
OUTBOX_LOCK = 4201
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
    highest = max((_version(value) for value in held.values()), default=0)
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
    async with connection.transaction():
        # Whoever changes the registry takes this lock before committing: while we hold it, tables and outbox stand still
        # together.
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (OUTBOX_LOCK,))
        drifted = drift(await snapshot.read(connection), await _newest(connection))
        for key, record in drifted.items():
            await _append(connection, key, None if record is None else content(record))
            events.DRIFT_REPAIRED.emit(topic=key[0])
        newest = await _newest(connection)
        todo = plan(newest, found, await _last_version(connection))
        if todo.beyond:
            await connection.execute("SELECT outbox_skip_to(%s)", (todo.beyond,))
            events.VERSION_RAISED.emit(version=todo.beyond)
        for key in todo.renew:
            await _append(connection, key, newest[key].value)
    for start in range(0, len(todo.lines), CHUNK):
        await publication.publish(todo.lines[start : start + CHUNK], None)
    events.REGISTRY_RESYNCED.emit(published=len(todo.lines), renewed=len(todo.renew) + len(drifted), found=len(found))


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
