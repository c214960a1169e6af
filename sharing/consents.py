"""Consents: given and withdrawn by the patient's or an operator's side, never by an app; kept as revisions that nothing changes.

Each change is written with its outbox row in one transaction, so that what the router learns is what was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from psycopg import Connection
from psycopg.rows import dict_row

from catalogue.registry import BY_CODE, PANEL_BY_CODE
from contracts.instants import from_datetime, to_datetime, to_text
from contracts.registry import ConsentRecord
from contracts.topics import REGISTRY_CONSENTS
from registry import outbox
from registry.refusal import Refused

PURPOSE_MAX = 500


class ConsentRefused(Refused):
    """What was asked for cannot be recorded; the words say why."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a patient consents to.

    Attributes:
        subject: whose readings.
        app: to whom.
        vitals: LOINC codes; aliases and panels are understood.
        purpose: why, in the words shown.
        history_from: instant in microseconds from which history may be seen, or None for "from the grant".
        ends_at: instant at which it ends by itself, or None.
        text_shown: the text the patient saw, or None for Agora's own wording.
    """

    subject: str
    app: str
    vitals: tuple[str, ...]
    purpose: str
    history_from: int | None = None
    ends_at: int | None = None
    text_shown: str | None = None


def canonical_vitals(codes: Iterable[str]) -> tuple[str, ...]:
    """Turn the codes people give into canonical LOINC codes.

    Args:
        codes: LOINC codes of vitals, their aliases, or panels, which stand for all their components.

    Returns:
        Canonical codes, sorted, each once.

    Raises:
        ConsentRefused: for a code that is not in the catalogue, or when none is given.
    """
    found: set[str] = set()
    for code in codes:
        if code in PANEL_BY_CODE:
            found.update(PANEL_BY_CODE[code].components)
        elif code in BY_CODE:
            found.add(BY_CODE[code].code)
        else:
            raise ConsentRefused(f"'{code[:32]}' is not a vital of the catalogue; see docs/reference/vitals.md")
    if not found:
        raise ConsentRefused("a consent names at least one vital")
    return tuple(sorted(found))


def wording(app_display: str, org_display: str, grant: Grant, vitals: Iterable[str]) -> str:
    """Write the text a patient is shown, in plain words.

    Args:
        app_display: the app as people know it.
        org_display: who runs it.
        grant: what is asked for.
        vitals: canonical codes.
    """
    names = ", ".join(BY_CODE[code].display for code in vitals)
    since = "from now on" if grant.history_from is None else f"including those since {to_text(grant.history_from)[:16]} UTC"
    until = "until I withdraw this consent" if grant.ends_at is None else f"until {to_text(grant.ends_at)[:16]} UTC"
    return (
        f"I allow {app_display} of {org_display} to receive these readings of mine: {names}; {since}, {until}.\n"
        f"Purpose: {grant.purpose}\n"
        "I can withdraw at any time, without giving a reason. Within one second nothing more is delivered, and the app is told "
        "to erase what it holds. What was delivered before stays readable on the app's own stream for up to 7 days."
    )


def grant(connection: Connection[Any], asked: Grant, by: str) -> ConsentRecord:
    """Record a consent and let it take effect.

    Args:
        connection: as a role that may write consents; a transaction of its own is made inside it.
        asked: what the patient consents to.
        by: who recorded it.

    Returns:
        The consent as the router will see it. ``granted_at`` is read once nothing but the commit is left to wait for.

    Raises:
        ConsentRefused: for an unknown subject, app or vital, an app that is revoked or has no topic yet, or a period that ends
            before it begins.
    """
    vitals = canonical_vitals(asked.vitals)
    if not 0 < len(asked.purpose.strip()) <= PURPOSE_MAX:
        raise ConsentRefused(f"a purpose is needed, of at most {PURPOSE_MAX} characters")
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        # Before the clock is read: readings of the time that was spent waiting here would be within the consent, and the router,
        # which cannot know of it before the commit, would pass them over for good.
        outbox.hold(connection)
        app = cursor.execute(
            "SELECT a.display, o.display AS org, a.revoked_at, a.provisioned_at, clock_timestamp() AS now"
            " FROM apps a JOIN organisations o ON o.name = a.org WHERE a.name = %s",
            [asked.app],
        ).fetchone()
        if app is None or app["revoked_at"] is not None:
            raise ConsentRefused(f"there is no active app '{asked.app[:64]}'")
        if app["provisioned_at"] is None:
            raise ConsentRefused(
                f"the app '{asked.app[:64]}' has no topic yet, and what is shared now would not reach it; nothing was recorded.",
                "The keeper makes it within seconds: try again then. If it stays so, does the keeper run? ./agora status",
            )
        now = from_datetime(app["now"])
        if asked.ends_at is not None and asked.ends_at <= max(now, asked.history_from or now):
            raise ConsentRefused("the consent would end before it begins")
        record = ConsentRecord(
            consent=str(uuid4()),
            subject=asked.subject,
            app=asked.app,
            vitals=frozenset(vitals),
            purpose=asked.purpose,
            granted_at=now,
            history_from=asked.history_from,
            ends_at=asked.ends_at,
        )
        _append(connection, record, asked.text_shown or wording(app["display"], app["org"], asked, vitals), by)
    return record


def withdraw(connection: Connection[Any], consent: str, by: str) -> ConsentRecord:
    """Withdraw a consent; to withdraw it again changes nothing.

    Args:
        connection: as a role that may write consents; a transaction of its own is made inside it.
        consent: its id.
        by: who withdrew it.

    Returns:
        The consent with its ``withdrawn_at``. Once this returns from the outermost transaction it is committed; the router stops
        within a second of that.

    Raises:
        ConsentRefused: when there is no such consent.
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        # Two withdrawals at once must not race for the same revision number; and none is dated before it could be recorded.
        outbox.hold(connection)
        held = find(connection, consent)
        if held.withdrawn_at is not None:
            return held
        row = cursor.execute(
            "SELECT text_shown, clock_timestamp() AS now FROM consents WHERE consent = %s", [held.consent]
        ).fetchone()
        assert row is not None
        record = held.model_copy(update={"withdrawn_at": from_datetime(row["now"]), "revision": held.revision + 1})
        _append(connection, record, row["text_shown"], by)
    return record


def find(connection: Connection[Any], consent: str) -> ConsentRecord:
    """Give a consent's newest revision.

    Raises:
        ConsentRefused: when there is none of this id.
    """
    try:
        identifier = UUID(consent)
    except ValueError:
        raise ConsentRefused("a consent's id is a UUID") from None
    found = _select(connection, consent=identifier)
    if not found:
        raise ConsentRefused("there is no consent of this id")
    return found[0]


def listed(connection: Connection[Any], subject: str | None = None, app: str | None = None) -> list[ConsentRecord]:
    """List consents in their newest revision, the oldest grant first.

    Args:
        connection: as a role that may read consents.
        subject: only this subject's, or None.
        app: only those to this app, or None.
    """
    return _select(connection, subject=subject, app=app)


def _select(
    connection: Connection[Any], consent: UUID | None = None, subject: str | None = None, app: str | None = None
) -> list[ConsentRecord]:
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "SELECT c.consent, c.revision, s.name AS subject, c.app, c.vitals, c.purpose, c.detail, c.granted_at, c.history_from,"
            " c.ends_at, c.withdrawn_at FROM consents c JOIN subjects s USING (subject_key)"
            " WHERE (%(consent)s::uuid IS NULL OR c.consent = %(consent)s)"
            " AND (%(subject)s::text IS NULL OR s.name = %(subject)s)"
            " AND (%(app)s::text IS NULL OR c.app = %(app)s) ORDER BY c.granted_at, c.consent",
            {"consent": consent, "subject": subject, "app": app},
        )
        return [_record(row) for row in cursor]


def _record(row: dict[str, Any]) -> ConsentRecord:
    instants = ("granted_at", "history_from", "ends_at", "withdrawn_at")
    converted = {name: None if row[name] is None else from_datetime(row[name]) for name in instants}
    return ConsentRecord(**(row | converted | {"consent": str(row["consent"])}))


def _append(connection: Connection[Any], record: ConsentRecord, text: str, by: str) -> None:
    """Write one revision and its outbox row; the caller holds the transaction."""
    instants = {
        name: None if (instant := getattr(record, name)) is None else to_datetime(instant)
        for name in ("granted_at", "history_from", "ends_at", "withdrawn_at")
    }
    written = connection.execute(
        "INSERT INTO consent_revisions (consent, revision, subject_key, app, vitals, purpose, detail, granted_at, history_from,"
        " ends_at, withdrawn_at, text_shown, text_hash, recorded_by)"
        " SELECT %(consent)s, %(revision)s, subject_key, %(app)s, %(vitals)s, %(purpose)s, %(detail)s, %(granted_at)s,"
        " %(history_from)s, %(ends_at)s, %(withdrawn_at)s, %(text)s, %(hash)s, %(by)s FROM subjects WHERE name = %(subject)s",
        record.model_dump(include={"revision", "app", "purpose", "subject"})
        | instants
        | {
            "consent": UUID(record.consent),
            "vitals": sorted(record.vitals),
            "detail": record.detail.value,
            "text": text,
            "hash": sha256(text.encode()).hexdigest(),
            "by": by,
        },
    ).rowcount
    if written != 1:
        raise ConsentRefused(f"there is no subject '{record.subject}'")
    outbox.append(connection, REGISTRY_CONSENTS, record.consent, record)
