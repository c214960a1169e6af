"""A database that was restored from a backup: whether this is one, and bringing back into it what ended since.

Which database the keeper last held against Kafka stands in ``registry_confirmation``. A restored one is another, and until the
keeper has held it against Kafka again nothing that rests on the tables alone may be released: the gateway asks
``registry_confirmed()``, and the keeper itself gives nobody access to the broker or to Kafka.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from contracts.ids import device_key
from contracts.instants import to_datetime
from contracts.registry import Loan, Period
from contracts.topics import REGISTRY_APPS, REGISTRY_CONSENTS, REGISTRY_DEVICES
from registry import events
from registry.endings import Cut, Ending, Key, Returned, Revoked, Withdrawn
from registry.settlement import span_of

Connection = AsyncConnection[tuple[Any, ...]]


async def confirmed(connection: Connection) -> bool:
    """Tell whether this is the database that the keeper held against Kafka, or an empty one that was made here."""
    row = await (await connection.execute("SELECT registry_confirmed()")).fetchone()
    return row == (True,)


async def confirm(connection: Connection) -> None:
    """Note, in the transaction that made it so, that nothing goes on in the tables that ended by Kafka."""
    await connection.execute("SELECT confirm_registry()")


async def in_outbox(connection: Connection, held: Mapping[Key, Mapping[str, Any]]) -> set[Key]:
    """Tell of which records the outbox has the same under the same version.

    Args:
        connection: the keeper's.
        held: what Kafka holds, parsed, each with a version.
    """
    rows = await connection.execute(
        "SELECT o.topic, o.key"
        " FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::jsonb[]) AS held (topic, key, version, value)"
        " JOIN outbox o ON o.version = held.version AND o.topic = held.topic AND o.key = held.key AND o.value = held.value",
        (
            [topic for topic, _ in held],
            [key for _, key in held],
            [value["version"] for value in held.values()],
            [Jsonb(value) for value in held.values()],
        ),
    )
    return {(topic, key) for topic, key in await rows.fetchall()}


async def bring_back(connection: Connection, endings: Iterable[Ending]) -> None:
    """Write endings into the tables, in the caller's transaction and before tables and outbox are compared."""
    for ending in endings:
        match ending:
            case Withdrawn(consent, revision, at):
                moment = None if at is None else to_datetime(at)
                await connection.execute("SELECT end_consent(%s, %s, %s)", (UUID(consent), revision, moment))
            case Revoked(app):
                await connection.execute("SELECT end_app(%s)", (app,))
            case Returned(device, retired, cuts):
                if retired:
                    await connection.execute("SELECT end_device(%s, %s)", (device.org, device.device))
                for cut in cuts:
                    await _narrow(connection, device.org, device.device, cut)


async def _narrow(connection: Connection, org: str, device: str, cut: Cut) -> None:
    starts = [to_datetime(period.start) for period in cut.left]
    ends = [None if period.end is None else to_datetime(period.end) for period in cut.left]
    await connection.execute(
        "SELECT narrow_loan(%s, %s, %s, %s, %s::timestamptz[], %s::timestamptz[])",
        (org, device, cut.loan.subject, to_datetime(cut.loan.start), starts, ends),
    )


async def request_settlements(connection: Connection, endings: Iterable[Ending], versions: Mapping[Key, int]) -> None:
    """Have the readings of narrowed loans looked through, once the store has what is on its way.

    Args:
        connection: in the transaction of ``bring_back``.
        endings: what was brought back.
        versions: of the devices' records that tell the processors.
    """
    for ending in endings:
        if not isinstance(ending, Returned) or not ending.cuts:
            continue
        device = ending.device
        widest = max((abs(correction.offset) for correction in device.corrections), default=0)
        span = span_of([_period(cut.loan) for cut in ending.cuts], widest)
        await connection.execute(
            "INSERT INTO settlements (device_key, starts_at, ends_at, version)"
            " SELECT device_key, %s, %s, %s FROM devices WHERE org = %s AND name = %s",
            (
                span.start,
                span.end,
                versions[REGISTRY_DEVICES.name, device_key(device.org, device.device)],
                device.org,
                device.device,
            ),
        )


def _period(loan: Loan) -> Period:
    return Period(start=loan.start, end=loan.end)


def tell(endings: Iterable[Ending]) -> None:
    """Tell of each ending, once it is committed: by id or name, never whose it was."""
    for ending in endings:
        match ending:
            case Withdrawn(consent, _, _):
                events.ENDING_KEPT.emit(topic=REGISTRY_CONSENTS.name, ending="consent withdrawn", key=consent)
            case Revoked(app):
                events.ENDING_KEPT.emit(topic=REGISTRY_APPS.name, ending="app revoked", key=app)
            case Returned(device, retired, cuts):
                key = device_key(device.org, device.device)
                for how in ["device retired"] * retired + ["loan ended"] * len(cuts):
                    events.ENDING_KEPT.emit(topic=REGISTRY_DEVICES.name, ending=how, key=key)
