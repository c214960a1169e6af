"""Reading the access log: who saw what of whom, in plain words; and the proof that a withdrawal took effect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from catalogue.registry import BY_CODE
from contracts.registry import WITHDRAWAL_SECONDS
from sharing import consents


@dataclass(frozen=True)
class Access:
    """An entry of the access log; see the table's columns."""

    at: datetime
    app: str
    channel: str
    outcome: str
    reason: str
    subject: str
    vitals: list[str]
    period_start: datetime | None
    period_end: datetime | None
    readings: int
    purpose: str
    consent: UUID | None
    consent_revision: int | None
    request: str


def accesses(connection: Connection[Any], subject: str | None = None, app: str | None = None, limit: int = 1000) -> list[Access]:
    """List accesses and refusals, the newest first.

    Args:
        connection: as a role that may read the log.
        subject: only this subject's, or None.
        app: only this app's, or None.
        limit: at most so many.
    """
    with connection.cursor(row_factory=class_row(Access)) as cursor:
        cursor.execute(
            "SELECT at, app, channel, outcome, reason, subject, vitals, period_start, period_end, readings, purpose, consent,"
            " consent_revision, request FROM access_log WHERE (%(subject)s::text IS NULL OR subject = %(subject)s)"
            " AND (%(app)s::text IS NULL OR app = %(app)s) ORDER BY at DESC, access_id DESC LIMIT %(limit)s",
            {"subject": subject, "app": app, "limit": limit},
        )
        return cursor.fetchall()


_CHANNELS = {"kafka": "on its stream", "fhir": "by query", "token": "when it asked for a token", "api": "through the API"}


def in_words(access: Access) -> str:
    """Say an access in a sentence a patient can read; no value is in it."""
    names = ", ".join(BY_CODE[code].display if code in BY_CODE else code for code in access.vitals)
    what = f"{access.readings} reading{'s' if access.readings != 1 else ''}" + (f" ({names})" if names else "")
    whose = f" of {access.subject}" if access.subject else ""
    channel = _CHANNELS[access.channel]
    when = f"{access.at:%Y-%m-%d %H:%M:%S} UTC"
    why = f" for: {access.purpose.rstrip('.')}" if access.purpose else ""
    if access.outcome == "released":
        received = "received" if not access.reason else f"may have received ({access.reason})"
        return f"{when}: {access.app} {received} {what}{whose} {channel}{_period(access)}{why}."
    if access.outcome == "empty":
        return f"{when}: {access.app} asked{whose} {channel} and there was nothing to give{why}."
    return f"{when}: {access.app} was refused {what if access.readings else 'access'}{whose} {channel}: {access.reason}."


def _period(access: Access) -> str:
    if access.period_start is None or access.period_end is None:
        return ""
    start, end = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (access.period_start, access.period_end))
    return f", measured {start}" if start == end else f", measured {start} to {end}"


@dataclass(frozen=True)
class WithdrawalEvidence:
    """What shows that a withdrawal took effect on the app's topic.

    Attributes:
        consent: its id.
        app: who may no longer see.
        subject: whose consent it was.
        withdrawn_at: when the withdrawal was recorded, just before its commit.
        last_released_at: when the broker appended the last record under the consent, or the last that it may have appended
            without confirming it left for it; None where there was none.
        last_released: where on the app's topic, in words.
        first_withheld_at: when the router first withheld a reading that the consent would have allowed, None where none came.
        readings_withheld: how many since.
        app_told_at: when the broker appended the event that tells the app to erase, None where that is still to come.
        app_told_offset: its place on the app's topic.
    """

    consent: str
    app: str
    subject: str
    withdrawn_at: datetime
    last_released_at: datetime | None
    last_released: str
    first_withheld_at: datetime | None
    readings_withheld: int
    app_told_at: datetime | None
    app_told_offset: int | None

    @property
    def seconds_after(self) -> float:
        """How long after the withdrawal the last record was appended; not above zero where it came before."""
        return 0.0 if self.last_released_at is None else (self.last_released_at - self.withdrawn_at).total_seconds()

    @property
    def holds(self) -> bool:
        """Whether nothing was appended later than a second after the withdrawal (design section 5, 9)."""
        return self.seconds_after <= WITHDRAWAL_SECONDS


def withdrawal_evidence(connection: Connection[Any], consent: str) -> WithdrawalEvidence:
    """Gather what shows that a withdrawal took effect.

    Args:
        connection: as a role that may read the log.
        consent: id of a withdrawn consent.

    Returns:
        The evidence, as far as the router has brought it; times of records are the broker's own stamps.

    Raises:
        ConsentRefused: there is no such consent, or it is not withdrawn.
    """
    record = consents.find(connection, consent)
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            "SELECT c.withdrawn_at, released.at AS last_released_at, coalesce(released.request, '') AS last_released,"
            " refused.first AS first_withheld_at, coalesce(refused.readings, 0)::integer AS readings_withheld,"
            " n.appended_at AS app_told_at, n.topic_offset AS app_told_offset"
            " FROM consents c"
            " LEFT JOIN withdrawal_notices n ON n.consent = c.consent AND n.revision = c.revision"
            " LEFT JOIN LATERAL (SELECT at, request FROM access_log l WHERE l.consent = c.consent AND outcome = 'released'"
            "   AND channel = 'kafka' ORDER BY at DESC, access_id DESC LIMIT 1) released ON true"
            " LEFT JOIN LATERAL (SELECT min(at) AS first, sum(readings) AS readings FROM access_log l WHERE l.consent = c.consent"
            "   AND outcome = 'refused' AND channel = 'kafka') refused ON true"
            " WHERE c.consent = %s AND c.withdrawn_at IS NOT NULL",
            [UUID(record.consent)],
        ).fetchone()
    if row is None:
        raise consents.ConsentRefused("this consent is not withdrawn")
    return WithdrawalEvidence(consent=record.consent, app=record.app, subject=record.subject, **row)
