"""Everybody who takes part: the organisation, its subjects and devices with loans, and where sharing is measured, an app.

The devices are enrolled as any others, so all that follows knows them. But their messages come over few connections, each with an
account that may publish for all of them, known to this instance's broker alone: ten thousand TLS sessions would measure the
broker's memory, and the platform behind it sees the same messages either way.
"""

from __future__ import annotations

import secrets
from typing import Any

from psycopg import Connection

from bench.chain.runs import Tell
from bench.chain.workload import MODEL, ORG, device_name, subject_name
from contracts.errors import Unavailable
from contracts.ids import device_key
from contracts.instants import DAY
from contracts.mqtt import ROOT, UP_FILTER
from contracts.topics import REGISTRY_DEVICES
from deploy.local import mosquitto
from deploy.local.accounts import Account, caller, server_account, write_file
from deploy.local.instance import Instance
from registry import devices, organisations, outbox, password_file
from runtime import clock
from sharing import apps, consents
from sharing.apps import Access
from sharing.kafka_users import KafkaUsers

APP = "bench-app"
VITAL = "8867-4"
"""What the app gets: one of the three readings of each message."""
UNSHARED = "59408-5"
"""One that each message holds and nobody shares."""
PEER = "bench-peer"
"""Account of whatever else is measured in the bridge's place."""
SETTLE_SECONDS = 180.0
CHUNK = 500
Accounts = list[tuple[str, str]]


def open_broker(instance: Instance, connections: int) -> Accounts:
    """Give the generator's accounts, and the peer's, their rights in this instance's broker; before the keeper starts.

    Args:
        instance: whose broker; a later start of its servers takes the rights away again.
        connections: how many the generator needs: an account has one connection at a time.

    Returns:
        User names and passwords; the last is the peer's.
    """
    made = [(f"bench-{number}", secrets.token_urlsafe(24)) for number in range(connections)]
    made.append((PEER, secrets.token_urlsafe(24)))
    readers = Account(caller().uid, server_account(instance).gid)
    rights = [mosquitto.access_list()]
    for name, _ in made[:-1]:
        rights.append(f"\nuser {name}\ntopic write {ROOT}/{ORG}/+/up/#\ntopic read {ROOT}/{ORG}/+/down/#\n")
    rights.append(f"\nuser {PEER}\ntopic read {UP_FILTER}\n")
    lines = "".join(mosquitto.password_line(name, password) for name, password in made)
    services = mosquitto.service_accounts(instance)
    own = [line for line in services.read_text().splitlines(keepends=True) if not line.startswith("bench-")]
    everybody = "".join(own) + lines
    write_file(services, everybody, readers, mosquitto.FILE_MODE)
    write_file(mosquitto.password_file(instance), everybody, readers, mosquitto.FILE_MODE)
    write_file(instance.broker / "access", "".join(rights), readers, mosquitto.FILE_MODE)
    pid = password_file.broker_pid(mosquitto.pid_file(instance))
    if pid is None or not password_file.reload(pid):
        raise Unavailable("the broker does not run, so it cannot be told the generator's accounts")
    return made


def enrol(connection: Connection[Any], count: int, tell: Tell) -> None:
    """Enrol devices, each on loan to a subject of its own for a year; those that are there stay.

    Args:
        connection: operator's, autocommitting; the keeper has to run.
        count: how many.
        tell: told how far it is.

    Raises:
        Unavailable: the keeper did not publish them in time.
    """
    if ORG not in {one.name for one in organisations.list_organisations(connection)}:
        organisations.add_organisation(connection, ORG, "Benchmark")
    there = {one.device for one in devices.list_devices(connection, ORG)}
    missing = [number for number in range(count) if device_name(number) not in there]
    for start in range(0, len(missing), CHUNK):
        tell(f"enrolling devices: {start} of {len(missing)}")
        with connection.transaction():
            _enrol(connection, missing[start : start + CHUNK])
    names = [device_key(ORG, device_name(number)) for number in missing]
    for left in devices.wait_settled(connection, names, SETTLE_SECONDS):
        tell(f"enrolling devices: {left} not published yet")
    if devices.unsettled(connection, names):
        raise Unavailable("the keeper did not publish all devices; see ./agora logs keeper")


def _enrol(connection: Connection[Any], numbers: list[int]) -> None:
    """Enrol devices and lend them, many at a time.

    The loans are written here and not by ``registry.loans``, which takes a transaction for each.
    """
    devices.enrol_many(connection, [devices.NewDevice(ORG, device_name(number), MODEL) for number in numbers])
    names, subjects = [device_name(number) for number in numbers], [subject_name(number) for number in numbers]
    connection.execute(
        "INSERT INTO subjects (name, org, identifier_system, identifier_value)"
        " SELECT n.name, %s, 'urn:agora:bench', n.name FROM unnest(%s::text[]) AS n(name)",
        (ORG, subjects),
    )
    connection.execute(
        "INSERT INTO loans (device_key, subject_key, starts_at) SELECT d.device_key, s.subject_key, now() - interval '1 year'"
        " FROM unnest(%s::text[], %s::text[]) AS n(device, subject)"
        " JOIN devices d ON (d.org, d.name) = (%s, n.device) JOIN subjects s ON s.name = n.subject",
        (names, subjects, ORG),
    )
    records = [(device_key(ORG, name), devices.read_record(connection, ORG, name)) for name in names]
    outbox.append_many(connection, REGISTRY_DEVICES, records)


def share(connection: Connection[Any], users: KafkaUsers, count: int, tell: Tell) -> Access:
    """Let every subject share one vital with one app; what is there stays.

    Args:
        connection: as for ``enrol``.
        users: Kafka's administrator.
        count: how many subjects.
        tell: told how far it is.

    Returns:
        What the app needs to get at its data, with new secrets.
    """
    tell("adding an app")
    known = APP in {one.name for one in apps.listed(connection)}
    access = apps.rotate(connection, users, APP) if known else apps.add(connection, users, ORG, APP)
    apps.wait_provisioned(connection, APP, SETTLE_SECONDS)
    given = {one.subject for one in consents.listed(connection, app=APP)}
    missing = [subject_name(number) for number in range(count) if subject_name(number) not in given]
    for start in range(0, len(missing), CHUNK):
        tell(f"granting consents: {start} of {len(missing)}")
        with connection.transaction():
            for subject in missing[start : start + CHUNK]:
                asked = consents.Grant(
                    subject=subject, app=APP, vitals=(VITAL,), purpose="Benchmark", history_from=clock.now() - DAY
                )
                consents.grant(connection, asked, "bench")
    return access
