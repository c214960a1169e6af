"""The access log: who saw what of whom, when, why and under which consent; and who was refused. Append-only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import Connection

from contracts.instants import to_datetime

INSERT = """
INSERT INTO access_log (app, channel, outcome, reason, subject, vitals, period_start, period_end, readings, purpose,
                        consent, consent_revision, request)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


@dataclass(frozen=True, kw_only=True)
class Access:
    """One row of the access log.

    Attributes:
        app: who, empty where it could not be known.
        channel: ``fhir``, ``token`` or ``api``.
        outcome: ``released``, ``refused`` or ``empty``.
        reason: why refused, in closed words.
        subject: whose, empty where it concerns nobody or nobody known.
        vitals: canonical LOINC codes that were seen, or asked for when none was.
        period: first and last instant that was seen, microseconds, or None.
        readings: how many.
        purpose: of the consent.
        consent: id of the consent, or None.
        revision: its revision, or None.
        request: id of the request.
    """

    app: str
    channel: str
    outcome: str
    request: str
    reason: str = ""
    subject: str = ""
    vitals: Iterable[str] = ()
    period: tuple[int, int] | None = None
    readings: int = 0
    purpose: str = ""
    consent: UUID | None = None
    revision: int | None = None


def record(connection: Connection[Any], accesses: Iterable[Access]) -> None:
    """Write accesses; they count once the transaction is committed, which must be before the answer leaves.

    Args:
        connection: as a role that may write the log, in a transaction or committing by itself.
        accesses: what to write.
    """
    with connection.cursor() as cursor:
        cursor.executemany(INSERT, [_row(access) for access in accesses])


def _row(access: Access) -> tuple[Any, ...]:
    start, end = (to_datetime(instant) for instant in access.period) if access.period else (None, None)
    return (
        access.app, access.channel, access.outcome, access.reason, access.subject, sorted(access.vitals), start, end,
        access.readings, access.purpose, access.consent, access.revision, access.request,
    )  # fmt: skip
