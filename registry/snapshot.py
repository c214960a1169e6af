"""The registry's tables as the records they stand for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from contracts.ids import device_key
from contracts.instants import from_datetime
from contracts.registry import AppRecord, ConsentRecord, Record, RuleRecord
from contracts.topics import REGISTRY_APPS, REGISTRY_CONSENTS, REGISTRY_DEVICES, REGISTRY_RULES
from registry.records import device_record

Connection = AsyncConnection[tuple[Any, ...]]
Key = tuple[str, str]
"""Topic and key."""
MODELS: dict[str, type[Record]] = {
    REGISTRY_CONSENTS.name: ConsentRecord,
    REGISTRY_APPS.name: AppRecord,
    REGISTRY_RULES.name: RuleRecord,
}


async def read(connection: Connection) -> dict[Key, Record]:
    """Read the whole registry, in the caller's transaction.

    Returns:
        A record without version for everything that exists.
    """
    return await _devices(connection) | await _rules(connection) | await _apps(connection) | await _consents(connection)


async def _rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query)).fetchall()


async def _devices(connection: Connection) -> dict[Key, Record]:
    loans: dict[int, list[tuple[str, datetime, datetime | None]]] = {}
    for key, who, start, end in await _rows(
        connection, "SELECT l.device_key, s.name, l.starts_at, l.ends_at FROM loans l JOIN subjects s USING (subject_key)"
    ):
        loans.setdefault(key, []).append((who, start, end))
    corrections: dict[int, list[tuple[int, datetime, datetime | None]]] = {}
    for key, offset, start, end in await _rows(
        connection, "SELECT device_key, offset_microseconds, starts_at, ends_at FROM clock_corrections"
    ):
        corrections.setdefault(key, []).append((offset, start, end))
    rows = await _rows(connection, "SELECT device_key, org, name, model, retired_at FROM devices")
    return {
        (REGISTRY_DEVICES.name, device_key(org, name)): device_record(
            org, name, model, retired_at, loans.get(key, ()), corrections.get(key, ())
        )
        for key, org, name, model, retired_at in rows
    }


async def _rules(connection: Connection) -> dict[Key, Record]:
    rows = await _rows(connection, "SELECT name, definition FROM rules")
    return {(REGISTRY_RULES.name, name): RuleRecord.model_validate(definition) for name, definition in rows}


async def _apps(connection: Connection) -> dict[Key, Record]:
    rows = await _rows(connection, "SELECT name, org, client_id, revoked_at IS NULL, pseudonym_epoch FROM apps")
    return {
        (REGISTRY_APPS.name, name): AppRecord(app=name, org=org, client_id=client, active=active, pseudonym_epoch=epoch)
        for name, org, client, active, epoch in rows
    }


async def _consents(connection: Connection) -> dict[Key, Record]:
    rows = await _rows(
        connection,
        "SELECT c.consent::text, s.name, c.app, c.vitals, c.purpose, c.detail, c.granted_at, c.history_from, c.ends_at,"
        " c.withdrawn_at, c.revision FROM consents c JOIN subjects s USING (subject_key)",
    )
    return {(REGISTRY_CONSENTS.name, row[0]): _consent(row) for row in rows}


def _consent(row: tuple[Any, ...]) -> ConsentRecord:
    consent, subject, app, vitals, purpose, detail, granted_at, history_from, ends_at, withdrawn_at, revision = row
    return ConsentRecord(
        consent=consent,
        subject=subject,
        app=app,
        vitals=frozenset(vitals),
        purpose=purpose,
        detail=detail,
        granted_at=from_datetime(granted_at),
        history_from=_instant(history_from),
        ends_at=_instant(ends_at),
        withdrawn_at=_instant(withdrawn_at),
        revision=revision,
    )


def _instant(moment: datetime | None) -> int | None:
    return None if moment is None else from_datetime(moment)
