"""Who takes part in the demo: organisations, patients with their devices, two apps, and what each patient consents to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection

from cli.demo import DEVICES_FILE
from contracts.errors import Unavailable
from contracts.instants import DAY
from registry import devices, loans, organisations
from runtime import clock
from sharing import apps, consents
from sharing.apps import Access
from sharing.kafka_users import KafkaUsers
from simulators.credentials import read_credentials, write_credentials
from simulators.patients import DeviceCredential, Patient, devices_for
from simulators.replay import RecordedPatient, choose, load
from simulators.synthetic import make_patients

CLINIC = "riverside-clinic"
ORGANISATIONS = {CLINIC: "Riverside Clinic", "heartline": "Heartline", "breathewell": "BreatheWell"}
IDENTIFIER_SYSTEM = "urn:oid:2.16.840.1.113883.19.5"
"""HL7's example OID: the demo's hospital numbers are nobody's."""
SETTLE_SECONDS = 60.0
BY = "demo"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class AppPlan:
    """An app of the demo."""

    org: str
    display: str
    vitals: tuple[str, ...]
    purpose: str


HEART, BREATH = "heartline-monitor", "breathewell-coach"
APPS = {
    HEART: AppPlan("heartline", "Heartline Monitor", ("8867-4", "85354-9"), "Watch blood pressure and pulse after discharge."),
    BREATH: AppPlan("breathewell", "BreatheWell Coach", ("59408-5", "9279-1", "8310-5"), "Notice a lung infection early."),
}


@dataclass(frozen=True)
class Role:
    """A patient of the demo.

    Attributes:
        patient: recording or synthetic person that is played.
        recorded: whether it is a recording of a real person.
        shares_with: apps this patient consents to.
        withdraws_from: app from which the consent is withdrawn on the way, or empty.
    """

    patient: Patient
    recorded: bool
    shares_with: tuple[str, ...]
    withdraws_from: str = ""

    @property
    def subject(self) -> str:
        """Name of the subject in the registry."""
        return self.patient.name


@dataclass(frozen=True)
class Cast:
    """Everybody who takes part, enrolled.

    Attributes:
        roles: patients.
        devices: their devices with credentials.
        access: apps' credentials by name.
        consents: id of the active consent by (subject, app).
    """

    roles: tuple[Role, ...]
    devices: tuple[DeviceCredential, ...]
    access: dict[str, Access]
    consents: dict[tuple[str, str], str]


def roles(count: int, seed: int) -> tuple[Role, ...]:
    """Choose the patients, recorded and synthetic in turn.

    Args:
        count: how many, at least 2.
        seed: of the synthetic ones.

    Returns:
        The second withdraws from one app on the way; the last shares with nobody; the others share with both or one.
    """
    recorded: Sequence[RecordedPatient] = choose(load(), (count + 1) // 2)
    made = make_patients(count - len(recorded), seed)
    mixed: list[tuple[Patient, bool]] = []
    for number in range(count):
        source: Sequence[Patient] = recorded if number % 2 == 0 else made
        mixed.append((source[number // 2], number % 2 == 0))
    shares = ((HEART, BREATH), (HEART,), (BREATH,))
    cast = [Role(patient, real, shares[number % 3]) for number, (patient, real) in enumerate(mixed)]
    # A synthetic one, whose devices speak often: the last record before the withdrawal and the first withheld lie close together.
    cast[1] = Role(cast[1].patient, cast[1].recorded, (HEART, BREATH), withdraws_from=HEART)
    cast[-1] = Role(cast[-1].patient, cast[-1].recorded, ())
    return tuple(cast)


def enrol(connection: Connection[Any], users: KafkaUsers, wanted: tuple[Role, ...], folder: Path, tell: Tell) -> Cast:
    """Enrol everybody; what an earlier demo enrolled is used again.

    Args:
        connection: operator's, autocommitting.
        users: Kafka's administrator.
        wanted: patients to play.
        folder: where the instance keeps credentials; the demo's are kept there, too.
        tell: told each step.

    Returns:
        Everybody, ready to publish and to read.

    Raises:
        Unavailable: the keeper did not confirm in time.
    """
    tell("organisations and patients")
    known = {found.name for found in organisations.list_organisations(connection)}
    for name, display in ORGANISATIONS.items():
        if name not in known:
            organisations.add_organisation(connection, name, display)
    subjects = {found.name for found in organisations.list_subjects(connection)}
    for role in wanted:
        if role.subject not in subjects:
            organisations.add_subject(connection, role.subject, CLINIC, IDENTIFIER_SYSTEM, f"demo-{role.subject}")
    access = _apps(connection, users, folder / "demo-apps.json", tell)
    enrolled = _devices(connection, wanted, folder / DEVICES_FILE, tell)
    tell("consents")
    return Cast(wanted, enrolled, access, _consents(connection, wanted))


def _devices(connection: Connection[Any], wanted: tuple[Role, ...], file: Path, tell: Tell) -> tuple[DeviceCredential, ...]:
    tell("devices")
    kept = {one.key: one for one in read_credentials(file)} if file.exists() else {}
    there = {f"{found.org}/{found.device}" for found in devices.list_devices(connection, CLINIC)}
    planned = [(role.subject, plan) for role in wanted for plan in devices_for(role.patient)]
    missing = [(subject, plan) for subject, plan in planned if f"{CLINIC}/{plan.device}" not in there]
    made = devices.enrol_many(connection, [devices.NewDevice(CLINIC, plan.device, plan.model) for _, plan in missing])
    for (subject, plan), _ in zip(missing, made, strict=True):
        loans.lend(connection, CLINIC, plan.device, subject, clock.now() - DAY)
    passwords = {enrolled.username: enrolled.password for enrolled in made}
    for _, plan in planned:
        key = f"{CLINIC}/{plan.device}"
        if key not in kept and key not in passwords:
            passwords[key] = devices.rotate_password(connection, CLINIC, plan.device).password
    credentials = tuple(
        DeviceCredential(
            org=CLINIC,
            device=plan.device,
            model=plan.model,
            password=passwords.get(f"{CLINIC}/{plan.device}") or kept[f"{CLINIC}/{plan.device}"].password,
            subject=subject,
        )
        for subject, plan in planned
    )
    # Kept at once: a demo that is stopped right here must not have to rotate every password next time.
    write_credentials(file, {one.key: one for one in (*kept.values(), *credentials)}.values())
    names = [one.key for one in credentials]
    for settled in devices.wait_settled(connection, names, SETTLE_SECONDS):
        tell(f"devices: {settled} of {len(names)} may connect")
    if late := devices.unsettled(connection, names):
        raise Unavailable(f"{len(late)} devices were not let in within {SETTLE_SECONDS:.0f} s; see ./agora logs keeper")
    return credentials


def _apps(connection: Connection[Any], users: KafkaUsers, file: Path, tell: Tell) -> dict[str, Access]:
    tell("apps")
    kept = {name: Access(**entry) for name, entry in json.loads(file.read_text())["apps"].items()} if file.exists() else {}
    there = {found.name for found in apps.listed(connection) if found.revoked_at is None}
    found: dict[str, Access] = {}
    for name, plan in APPS.items():
        if name not in there:
            found[name] = apps.add(connection, users, plan.org, name, plan.display)
        else:
            found[name] = kept[name] if name in kept else apps.rotate(connection, users, name)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        json.dump({"apps": {name: asdict(entry) for name, entry in found.items()}}, opened)
    for name in found:
        tell(f"apps: topic and rights of {name}")
        apps.wait_provisioned(connection, name, SETTLE_SECONDS)
    return found


def _consents(connection: Connection[Any], wanted: tuple[Role, ...]) -> dict[tuple[str, str], str]:
    active = {(found.subject, found.app): found.consent for found in consents.listed(connection) if found.withdrawn_at is None}
    given: dict[tuple[str, str], str] = {}
    for role in wanted:
        for app in role.shares_with:
            held = active.get((role.subject, app))
            if held is None:
                asked = consents.Grant(subject=role.subject, app=app, vitals=APPS[app].vitals, purpose=APPS[app].purpose)
                held = consents.grant(connection, asked, BY).consent
            given[role.subject, app] = held
        for app in set(APPS) - set(role.shares_with):
            if (role.subject, app) in active:  # an earlier demo had more or other patients
                consents.withdraw(connection, active[role.subject, app], BY)
    return given
