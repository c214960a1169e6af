"""The operator's side of the gateway: consents, alerts, the access log, and its commands."""

from __future__ import annotations

import subprocess
import sys
from asyncio import to_thread
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.alerts import AlertCommand, Transition, decode_command
from contracts.ids import partition_of
from contracts.instants import to_text
from contracts.topics import ALERT_COMMANDS
from deploy.local.instance import CHECKOUT
from deploy.local.stack import Stack
from runtime import kafka
from tests.sharing_platform import kafka_settings
from tests.support.gateway_world import World, bearer, operator_headers, token_of

Owner = psycopg.Connection[Any]
INSERT_ALERT = """
INSERT INTO alert_transitions (alert, number, org, subject, rule, rule_version, vital, transition, severity, at, onset, unit,
                               reading, actor, about_past, received_at)
VALUES (%s, %s, 'org', %s, 'hr-high', 1, '8867-4', %s, 'warning', now(), now(), '', '', '', false, now())
"""


@pytest.fixture
def headers(gateway: Stack) -> dict[str, str]:
    return operator_headers(gateway)


@pytest.fixture
async def commands(gateway: Stack) -> AsyncIterator[AIOKafkaConsumer]:
    """What the rules will read, from now on."""
    consumer = kafka.consumer(kafka_settings(gateway.env("operator")), None, auto_offset_reset="latest")
    await consumer.start()
    partitions = [TopicPartition(ALERT_COMMANDS.name, number) for number in range(ALERT_COMMANDS.partitions)]
    consumer.assign(partitions)
    await consumer.seek_to_end(*partitions)
    for partition in partitions:
        await consumer.position(partition)
    yield consumer
    await consumer.stop()


def alert_of(owner: Owner, subject: str, *states: str) -> str:
    """Store an alert that went through these states."""
    alert = str(uuid4())
    for number, state in enumerate(states, 1):
        owner.execute(INSERT_ALERT, [alert, number, subject, state])
    return alert


def test_nobody_but_the_operator_comes_in(world: World, client: httpx.Client) -> None:
    token = token_of(client, world.app())
    ways = [("GET", "/api/v1/consents"), ("POST", "/api/v1/consents"), ("GET", "/api/v1/alerts"), ("GET", "/api/v1/access-log")]

    for method, path in ways:
        for wrong in ({}, bearer(token), bearer("x" * 43), {"Authorization": "Basic x"}):
            assert client.request(method, path, headers=wrong).status_code == 401


def test_a_consent_is_granted_used_listed_and_withdrawn(world: World, client: httpx.Client, headers: dict[str, str]) -> None:
    subject, app = world.subject(), world.app()
    world.reading(subject, world.device(), "8867-4", 71.0)
    app_headers, search = bearer(token_of(client, app)), f"/fhir/Observation?patient={world.pseudonym(app, subject)}"
    asked = {"subject": subject, "app": app, "vitals": ["8867-4", "85354-9"], "purpose": "care", "history_from": to_text(0)}

    granted = client.post("/api/v1/consents", json=asked, headers=headers)

    assert granted.status_code == 201
    consent = granted.json()
    assert (consent["revision"], consent["withdrawn_at"]) == (1, None)
    assert consent["vitals"] == ["8462-4", "8478-0", "8480-6", "8867-4"]
    assert len(client.get(search, headers=app_headers).json()["entry"]) == 1
    listed = client.get("/api/v1/consents", params={"subject": subject}, headers=headers).json()["consents"]
    assert listed == [consent]
    withdrawn = client.post(f"/api/v1/consents/{consent['consent']}/withdraw", headers=headers).json()
    assert withdrawn["revision"] == 2
    assert withdrawn["withdrawn_at"]
    assert "entry" not in client.get(search, headers=app_headers).json()
    again = client.post(f"/api/v1/consents/{consent['consent']}/withdraw", headers=headers)
    assert again.json() == withdrawn


def test_a_consent_recorded_by_the_gateway_is_in_the_outbox_of_the_same_moment(
    world: World, client: httpx.Client, headers: dict[str, str], owner: Owner
) -> None:
    asked = {"subject": world.subject(), "app": world.app(), "vitals": ["8867-4"], "purpose": "care"}

    consent = client.post("/api/v1/consents", json=asked, headers=headers).json()["consent"]

    row = owner.execute("SELECT topic, value->>'subject' FROM outbox WHERE key = %s", [consent]).fetchone()
    assert row == ("agora.registry.consents.v1", asked["subject"])


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"subject": "nobody-of-this-name"}, 422),
        ({"app": "no-app-of-this-name"}, 422),
        ({"vitals": ["1-1"]}, 422),
        ({"vitals": []}, 422),
        ({"purpose": ""}, 422),
        ({"purpose": "with\x00nul"}, 422),
        ({"ends_at": "2020-01-01T00:00:00Z"}, 422),
        ({"ends_at": "2030-01-01T00:00:00"}, 422),
        ({"history_from": "0001-01-01T00:00:00+14:00"}, 422),
        ({"unknown": 1}, 422),
    ],
)
def test_a_consent_that_makes_no_sense_is_refused_and_leaves_nothing(
    world: World, client: httpx.Client, headers: dict[str, str], changed: dict[str, Any], status: int
) -> None:
    subject = world.subject()
    asked = {"subject": subject, "app": world.app(), "vitals": ["8867-4"], "purpose": "care"} | changed

    answer = client.post("/api/v1/consents", json=asked, headers=headers)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/api/v1/consents", params={"subject": subject}, headers=headers).json()["consents"] == []


def test_an_unknown_consent_cannot_be_withdrawn(client: httpx.Client, headers: dict[str, str]) -> None:
    assert client.post(f"/api/v1/consents/{uuid4()}/withdraw", headers=headers).status_code == 404
    assert client.post("/api/v1/consents/not-a-uuid/withdraw", headers=headers).status_code == 422


def test_an_unknown_filter_is_refused(client: httpx.Client, headers: dict[str, str]) -> None:
    for path in ("consents", "alerts", "access-log"):
        assert client.get(f"/api/v1/{path}?colour=red", headers=headers).status_code == 422


def test_the_access_log_is_shown_the_newest_first_and_in_parts(
    world: World, client: httpx.Client, headers: dict[str, str]
) -> None:
    subject, app = world.subject(), world.app()
    world.consent(subject, app, "8867-4")
    for _ in range(3):
        client.get(f"/fhir/Observation?patient={world.pseudonym(app, subject)}", headers=bearer(token_of(client, app)))

    first = client.get("/api/v1/access-log", params={"app": app, "limit": 2}, headers=headers).json()["accesses"]
    rest = client.get("/api/v1/access-log", params={"app": app, "before": first[-1]["access_id"]}, headers=headers).json()[
        "accesses"
    ]

    numbers = [access["access_id"] for access in first + rest]
    assert len(numbers) == 3
    assert numbers == sorted(numbers, reverse=True)
    assert {(access["subject"], access["outcome"]) for access in first + rest} == {(subject, "empty")}
    assert client.get("/api/v1/access-log", params={"app": app, "outcome": "released"}, headers=headers).json()["accesses"] == []


async def test_an_alert_is_listed_and_its_acknowledgement_reaches_the_rules(
    world: World, client: httpx.Client, headers: dict[str, str], owner: Owner, commands: AIOKafkaConsumer
) -> None:
    subject = world.subject()
    alert = alert_of(owner, subject, "raised", "escalated")
    listed = await to_thread(client.get, "/api/v1/alerts", params={"subject": subject}, headers=headers)
    (shown,) = listed.json()["alerts"]
    assert (shown["alert"], shown["state"], shown["number"]) == (alert, "escalated", 2)

    word = {"by": "nurse", "note": "called"}
    taken = await to_thread(client.post, f"/api/v1/alerts/{alert}/acknowledge", json=word, headers=headers)

    assert taken.status_code == 202
    record = await commands.getone()
    command = decode_command(record.value)
    assert (record.key, record.partition) == (subject.encode(), partition_of(subject, ALERT_COMMANDS.partitions))
    assert command == AlertCommand(alert, subject, Transition.ACKNOWLEDGED, "nurse", command.at, "called")


def test_who_took_an_alert_in_hand_and_what_they_said_is_shown_however_it_goes_on(
    world: World, client: httpx.Client, headers: dict[str, str], owner: Owner
) -> None:
    subject = world.subject()
    alert = alert_of(owner, subject, "raised", "acknowledged", "escalated")
    owner.execute("UPDATE alert_transitions SET actor = 'nurse', note = 'called' WHERE alert = %s AND number = 2", [alert])

    (shown,) = client.get("/api/v1/alerts", params={"subject": subject}, headers=headers).json()["alerts"]

    assert (shown["state"], shown["acknowledged_by"], shown["note"]) == ("escalated", "nurse", "called")


def test_only_an_open_alert_can_be_acknowledged(
    world: World, client: httpx.Client, headers: dict[str, str], owner: Owner
) -> None:
    subject = world.subject()
    resolved = alert_of(owner, subject, "raised", "resolved")

    answers = [
        client.post(f"/api/v1/alerts/{alert}/acknowledge", json={"by": "nurse"}, headers=headers) for alert in (resolved, uuid4())
    ]

    assert [answer.status_code for answer in answers] == [409, 404]
    assert client.get("/api/v1/alerts", params={"subject": subject, "open": True}, headers=headers).json()["alerts"] == []
    assert len(client.get("/api/v1/alerts", params={"subject": subject}, headers=headers).json()["alerts"]) == 1


async def test_the_commands_list_and_acknowledge(world: World, gateway: Stack, owner: Owner, commands: AIOKafkaConsumer) -> None:
    subject = world.subject()
    alert = alert_of(owner, subject, "raised")

    def agora(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cli", "alerts", *arguments]
        return subprocess.run(command, cwd=CHECKOUT, env=gateway.env("operator"), capture_output=True, text=True, check=False)

    listed = await to_thread(agora, "list", "--subject", subject)
    taken = await to_thread(agora, "ack", alert, "--by", "nurse")
    unknown = await to_thread(agora, "ack", str(uuid4()))

    assert listed.returncode == 0, listed.stderr
    assert alert in listed.stdout
    assert taken.returncode == 0, taken.stderr
    assert decode_command((await commands.getone()).value).by == "nurse"
    assert unknown.returncode == 1
    assert "no alert of this id" in unknown.stderr


def test_health_is_told_to_anybody(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
