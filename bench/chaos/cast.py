"""Enrols who takes part: an organisation, patients with devices, two apps and consents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from bench.chaos.load import APPS, MODELS, ORG, Person, device_name
from contracts.errors import Unavailable
from contracts.instants import HOUR
from contracts.registry import ConsentRecord
from registry import devices, loans, organisations
from runtime import clock
from sharing import apps, consents
from sharing.apps import Access
from sharing.kafka_users import KafkaUsers
from simulators.patients import DeviceCredential

SETTLE_SECONDS = 60.0
BY = "chaos"


@dataclass(frozen=True)
class Cast:
    """Everybody, enrolled.

    Attributes:
        people: patients.
        devices: with their credentials.
        access: the apps' credentials by name.
        consents: by subject and app.
    """

    people: tuple[Person, ...]
    devices: tuple[DeviceCredential, ...]
    access: dict[str, Access]
    consents: dict[tuple[str, str], ConsentRecord]

    @property
    def subjects(self) -> dict[str, str]:
        """By device key, whose it is."""
        return {one.key: one.subject for one in self.devices}


def enrol(connection: Connection[Any], users: KafkaUsers, people: Sequence[Person]) -> Cast:
    """Enrol everybody.

    Args:
        connection: operator's, autocommitting.
        users: Kafka's administrator.
        people: patients.

    Returns:
        Everybody, ready to publish and to read.

    Raises:
        Unavailable: the keeper did not confirm in time.
    """
    organisations.add_organisation(connection, ORG, "A clinic in trouble")
    for person in people:
        organisations.add_subject(connection, person.subject, ORG, "urn:agora:chaos", person.subject)
    access = {name: apps.add(connection, users, ORG, name) for name in APPS}
    for name in access:
        apps.wait_provisioned(connection, name, SETTLE_SECONDS)
    enrolled = _devices(connection, people)
    given = {(person.subject, app): _grant(connection, person.subject, app) for person in people for app in person.shares_with}
    return Cast(tuple(people), enrolled, access, given)


def _grant(connection: Connection[Any], subject: str, app: str) -> ConsentRecord:
    asked = consents.Grant(subject=subject, app=app, vitals=APPS[app], purpose="To see what holds.")
    return consents.grant(connection, asked, BY)


def consent_again(connection: Connection[Any], subject: str, app: str) -> ConsentRecord:
    """Give a new consent after a withdrawal; asked again after an answer that was lost, it gives the one that was recorded.

    Args:
        connection: operator's, autocommitting.
        subject: whose.
        app: to whom.

    Returns:
        The new consent.

    Raises:
        psycopg.OperationalError: the database is away.
    """
    held = [one for one in consents.listed(connection, subject, app) if one.withdrawn_at is None]
    return held[0] if held else _grant(connection, subject, app)


def withdraw(connection: Connection[Any], consent: str) -> int:
    """Withdraw a consent.

    Args:
        connection: operator's, autocommitting.
        consent: its id.

    Returns:
        Since when, microseconds, as its record says. Taken after the call, the time a slow database takes to answer, or a second
        attempt after an answer that was lost, would be added to what apps may still get. The commit follows the record's instant
        at once; only a database that is frozen just between the two would make a release look later than it is.

    Raises:
        psycopg.OperationalError: the database is away.
    """
    withdrawn_at = consents.withdraw(connection, consent, BY).withdrawn_at
    assert withdrawn_at is not None
    return withdrawn_at


def _devices(connection: Connection[Any], people: Sequence[Person]) -> tuple[DeviceCredential, ...]:
    planned = [(person, model) for person in people for model in MODELS]
    made = devices.enrol_many(connection, [devices.NewDevice(ORG, device_name(*one), one[1]) for one in planned])
    for person, model in planned:
        loans.lend(connection, ORG, device_name(person, model), person.subject, clock.now() - HOUR)
    names = [one.username for one in made]
    for _ in devices.wait_settled(connection, names, SETTLE_SECONDS):
        pass
    if late := devices.unsettled(connection, names):
        raise Unavailable(f"{len(late)} devices were not let in within {SETTLE_SECONDS:.0f} s; see the keeper's log")
    return tuple(
        DeviceCredential(org=ORG, device=one.device, model=model, password=one.password, subject=person.subject)
        for one, (person, model) in zip(made, planned, strict=True)
    )
