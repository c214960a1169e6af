"""Organisations and subjects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import ForeignKeyViolation, UniqueViolation

from registry.outbox import Database
from registry.records import checked_name
from registry.refusal import Refused

TEXT_MAX = 200


@dataclass(frozen=True)
class Organisation:
    """An SME, a clinic, a cluster of them.

    Attributes:
        name: name in topics and keys.
        display: name for people.
        created_at: when it was added.
    """

    name: str
    display: str
    created_at: datetime


@dataclass(frozen=True)
class Subject:
    """A person whose readings the platform carries.

    Attributes:
        name: the platform's own name of the subject, no personal data.
        org: organisation that looks after the subject.
        identifier_system: URI of the hospital's numbering (FHIR ``Identifier.system``).
        identifier_value: the number in it.
        created_at: when it was added.
    """

    name: str
    org: str
    identifier_system: str
    identifier_value: str
    created_at: datetime


def add_organisation(connection: Database, name: str, display: str) -> None:
    """Add an organisation.

    Args:
        connection: operator's.
        name: ``[a-z0-9-]``, 1 to 64.
        display: name for people, 1 to 200 characters.

    Raises:
        Refused: name not allowed, or taken.
    """
    checked_name(name, "an organisation")
    checked_text(display, "display name")
    try:
        with connection.transaction():
            connection.execute("INSERT INTO organisations (name, display) VALUES (%s, %s)", (name, display))
    except UniqueViolation:
        raise Refused(f"There is an organisation '{name}' already.") from None


def list_organisations(connection: Database) -> list[Organisation]:
    """List all organisations by name."""
    rows = connection.execute("SELECT name, display, created_at FROM organisations ORDER BY name")
    return [Organisation(*row) for row in rows]


def add_subject(connection: Database, name: str, org: str, identifier_system: str, identifier_value: str) -> int:
    """Add a subject.

    Args:
        connection: operator's.
        name: ``[a-z0-9-]``, 1 to 64, unique over the platform; a code, not the person's name.
        org: organisation.
        identifier_system: URI of the hospital's numbering.
        identifier_value: number in it.

    Returns:
        The subject's key in the database.

    Raises:
        Refused: name not allowed or taken, organisation unknown, identifier taken or empty.
    """
    checked_name(name, "a subject")
    checked_text(identifier_system, "identifier system")
    checked_text(identifier_value, "identifier value")
    if ":" not in identifier_system:
        raise Refused(
            "The identifier system must be a URI.", "For example urn:oid:2.16.840.1.113883.19.5 or https://clinic.example/mrn."
        )
    try:
        with connection.transaction():
            row = connection.execute(
                "INSERT INTO subjects (name, org, identifier_system, identifier_value)"
                " VALUES (%s, %s, %s, %s) RETURNING subject_key",
                (name, org, identifier_system, identifier_value),
            ).fetchone()
    except UniqueViolation as error:
        if error.diag.constraint_name == "subjects_name_key":
            raise Refused(f"There is a subject '{name}' already.") from None
        raise Refused(
            f"Another subject of '{org}' has this identifier already."
        ) from None  # the value is a patient's: not repeated
    except ForeignKeyViolation:
        raise unknown_organisation(org) from None
    assert row is not None
    return int(row[0])


def list_subjects(connection: Database, org: str | None = None) -> list[Subject]:
    """List subjects by name.

    Args:
        connection: operator's.
        org: only this organisation's, or None for all.
    """
    rows = connection.execute(
        "SELECT name, org, identifier_system, identifier_value, created_at FROM subjects"
        " WHERE %(org)s::text IS NULL OR org = %(org)s ORDER BY org, name",
        {"org": org},
    )
    return [Subject(*row) for row in rows]


def checked_text(text: str, what: str) -> str:
    """Check a free text.

    Raises:
        Refused: when it is blank, too long or holds control characters.
    """
    if not text.strip() or len(text) > TEXT_MAX or not text.isprintable():
        raise Refused(f"The {what} must be 1 to {TEXT_MAX} printable characters.")
    return text


def unknown_organisation(org: str) -> Refused:
    """Say that there is no such organisation."""
    return Refused(f"There is no organisation '{org[:80]}'.", "Add it: ./agora org add NAME --display 'Its name'.")
