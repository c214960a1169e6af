"""The database is restored from a backup, while Kafka holds what ended since."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
import pytest

from contracts.ids import device_key
from contracts.registry import AppRecord, ConsentRecord, DeviceRecord, Record, RuleRecord
from contracts.topics import REGISTRY_APPS, REGISTRY_CONSENTS, REGISTRY_DEVICES, Topic
from deploy.local import postgres
from deploy.local.stack import Stack
from registry import devices, loans, rules
from runtime.clock import now
from sharing import apps, consents
from sharing.kafka_users import KafkaUsers
from tests.support.gateway_world import World, bearer, client_of, found, token_of
from tests.support.keeping import Keeper, kafka_settings, read_topic, registry_records, until

R = TypeVar("R", bound=Record)
ROOM = ("sharing", "faults")
HEART = "8867-4"
OF_A_BACKUP = "UPDATE registry_confirmation SET incarnation = 'another'"
"""What pg_restore leaves: the row of the database that was dumped, in tables that are others."""

TO_SETTLE = """
SELECT d.name::text FROM settlements s JOIN devices d USING (device_key) JOIN outbox o USING (version)
WHERE d.org = %s AND o.key = d.org || '/' || d.name ORDER BY d.name
"""


@dataclass(frozen=True)
class Cast:
    """Two apps that Ada consented to, one that she leaves and one that is revoked; and two devices.

    Attributes:
        left: the app of the consent that is withdrawn.
        revoked: the app that is revoked.
        retired: device.
        returned: device that Ada has on loan.
        consents: of ``left`` and of ``revoked``.
    """

    subject: str
    left: str
    revoked: str
    retired: str
    returned: str
    consents: tuple[ConsentRecord, ConsentRecord]


@pytest.fixture
def gateway(servers: Any) -> Iterator[Stack]:
    stack: Stack = servers.of(ROOM)
    stack.stop_process("keeper")
    stack.start_process("gateway", wait=True)
    yield stack
    stack.stop_process("gateway")


@pytest.fixture
def owner(gateway: Stack) -> Iterator[psycopg.Connection[Any]]:
    with postgres.connect(gateway.settings("owner")) as connection:
        yield connection


@pytest.fixture
def world(gateway: Stack, owner: psycopg.Connection[Any]) -> World:
    return World(gateway, owner)


@pytest.fixture
def client(gateway: Stack) -> Iterator[httpx.Client]:
    with client_of(gateway) as made:
        yield made


def begin(world: World) -> Cast:
    subject, left, revoked = world.subject(), world.app(), world.app()
    retired, returned = world.device(), world.device()
    for device in (retired, returned):
        world.reading(subject, device, HEART, 71.0)
    given = world.consent(subject, left, HEART), world.consent(subject, revoked, HEART)
    return Cast(subject, left, revoked, retired, returned, given)


def end(world: World, cast: Cast) -> int | None:
    """End everything that was begun; gives when the consent was withdrawn."""
    withdrawn = consents.withdraw(world.owner, cast.consents[0].consent, "the patient")
    apps.revoke(world.owner, KafkaUsers(kafka_settings(world.stack)), cast.revoked)
    loans.retire(world.owner, world.org, cast.retired)
    loans.give_back(world.owner, world.org, cast.returned, now())
    return withdrawn.withdrawn_at


def restore(world: World, cast: Cast, version: int) -> None:
    """Make tables and outbox as they were when the outbox stood at this version."""
    with world.owner.transaction():
        world.owner.execute("ALTER TABLE consent_revisions DISABLE TRIGGER USER")
        world.owner.execute("DELETE FROM consent_revisions WHERE consent = %s AND revision = 2", [cast.consents[0].consent])
        world.owner.execute("ALTER TABLE consent_revisions ENABLE TRIGGER USER")
        world.owner.execute("UPDATE apps SET revoked_at = NULL WHERE name = %s", [cast.revoked])
        world.owner.execute("UPDATE devices SET retired_at = NULL WHERE org = %s", [world.org])
        world.owner.execute(
            "UPDATE loans SET ends_at = NULL WHERE device_key IN (SELECT device_key FROM devices WHERE org = %s)", [world.org]
        )
        world.owner.execute(
            "DELETE FROM settlements WHERE device_key IN (SELECT device_key FROM devices WHERE org = %s)", [world.org]
        )
        world.owner.execute("DELETE FROM outbox WHERE version > %s", [version])
        world.owner.execute("SELECT setval('outbox_version_seq', %s)", [version])
        world.owner.execute(OF_A_BACKUP)


def last_version(world: World) -> int:
    row = world.owner.execute("SELECT max(version) FROM outbox").fetchone()
    assert row is not None
    return int(row[0])


def published(world: World) -> bool:
    return world.owner.execute("SELECT count(*) FROM outbox WHERE published_at IS NULL").fetchone() == (0,)


def run_keeper(world: World, log: Path) -> Keeper:
    """Run a keeper until all is published, and give it for what it told."""
    with Keeper(world.stack, log, 1) as keeper:
        keeper.wait_leading(30)
        until(lambda: published(world))
    return keeper


def read(world: World, topic: Topic, start: int = 0) -> list[Any]:
    return asyncio.run(read_topic(kafka_settings(world.stack), topic, start))


def written(world: World, topic: Topic, key: str, model: type[R], start: int) -> list[R]:
    records = registry_records(read(world, topic, start))
    return [model.model_validate(value) for name, value in records if name == key and value is not None]


def assert_nothing_goes_on(world: World, cast: Cast, starts: dict[Topic, int]) -> None:
    """Whatever was written since, of none of them it says that it goes on."""
    told = written(world, REGISTRY_CONSENTS, cast.consents[0].consent, ConsentRecord, starts[REGISTRY_CONSENTS])
    assert told
    assert {consent.withdrawn_at for consent in told} == {consents.find(world.owner, cast.consents[0].consent).withdrawn_at}
    apps_told = written(world, REGISTRY_APPS, cast.revoked, AppRecord, starts[REGISTRY_APPS])
    assert {app.active for app in apps_told} == {False}
    for device in (cast.retired, cast.returned):
        of_device = written(world, REGISTRY_DEVICES, device_key(world.org, device), DeviceRecord, starts[REGISTRY_DEVICES])
        assert {record.retired for record in of_device} == {device == cast.retired}
        assert all(loan.end is not None for record in of_device for loan in record.loans)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("changes_since", [0, 40], ids=["kafka-ahead", "versions-given-twice"])
def test_what_ended_after_a_backup_stays_ended_and_nothing_is_shown_before_the_keeper_has_ended_it(
    world: World, client: httpx.Client, tmp_path: Path, changes_since: int
) -> None:
    cast = begin(world)
    run_keeper(world, tmp_path / "1.log")
    backup = last_version(world)
    withdrawn_at = end(world, cast)
    run_keeper(world, tmp_path / "2.log")
    ended = last_version(world)
    starts = {topic: read(world, topic)[-1].offset + 1 for topic in (REGISTRY_CONSENTS, REGISTRY_APPS, REGISTRY_DEVICES)}

    restore(world, cast, backup)
    for number in range(changes_since):
        rules.set_rule(world.owner, RuleRecord(rule="since", vital=HEART, low=30 + number))
    tokens = {app: bearer(token_of(client, app)) for app in (cast.left, cast.revoked)}
    searches = {app: f"/fhir/Observation?patient={world.pseudonym(app, cast.subject)}" for app in tokens}
    before = [client.get(path, headers=tokens[app]) for app in tokens for path in (searches[app], "/fhir/Patient")]
    assert [answer.status_code for answer in before] == [503] * 4
    assert {access["reason"] for access in world.accesses(cast.left) if access["channel"] == "fhir"} == {"registry not confirmed"}

    keeper = run_keeper(world, tmp_path / "3.log")
    assert_nothing_goes_on(world, cast, starts)
    assert consents.find(world.owner, cast.consents[0].consent).withdrawn_at == withdrawn_at
    assert last_version(world) > ended
    assert found(client.get(searches[cast.left], headers=tokens[cast.left])) == []
    assert found(client.get("/fhir/Patient", headers=tokens[cast.left])) == []
    assert client.get(searches[cast.revoked], headers=tokens[cast.revoked]).status_code == 401
    assert sorted((event["ending"], event["key"]) for event in keeper.events("keeper.ending_kept")) == sorted(
        [
            ("consent withdrawn", cast.consents[0].consent),
            ("app revoked", cast.revoked),
            ("device retired", device_key(world.org, cast.retired)),
            ("loan ended", device_key(world.org, cast.retired)),
            ("loan ended", device_key(world.org, cast.returned)),
        ]
    )
    assert len(keeper.events("keeper.database_replaced")) == 1
    assert world.owner.execute(TO_SETTLE, [world.org]).fetchall() == [(name,) for name in sorted((cast.retired, cast.returned))]
    assert cast.subject not in (tmp_path / "3.log").read_text()

    keeper = run_keeper(world, tmp_path / "4.log")
    assert not keeper.events("keeper.ending_kept")
    assert not keeper.events("keeper.database_replaced")


@pytest.mark.parametrize("replaced", [False, True], ids=["the-same-database", "moved"])
def test_a_device_that_was_enrolled_again_stays_in_use_although_kafka_still_holds_its_retirement(
    world: World, tmp_path: Path, replaced: bool
) -> None:
    cast = begin(world)
    loans.retire(world.owner, world.org, cast.retired)
    run_keeper(world, tmp_path / "1.log")
    devices.enrol(world.owner, world.org, cast.retired, "agora-generic")
    loans.lend(world.owner, world.org, cast.retired, cast.subject, now())
    if replaced:
        world.owner.execute(OF_A_BACKUP)

    keeper = run_keeper(world, tmp_path / "2.log")
    record = devices.read_record(world.owner, world.org, cast.retired)
    assert not record.retired
    assert [loan.end is None for loan in record.loans] == [False, True]
    assert not keeper.events("keeper.ending_kept")
    assert len(keeper.events("keeper.database_replaced")) == replaced
