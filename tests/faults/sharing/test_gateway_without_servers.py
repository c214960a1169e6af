"""The gateway while the database or Kafka is away: it says so, holds nothing back for later, and goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest

from contracts.alerts import AlertCommand, Transition
from contracts.errors import Unavailable
from contracts.topics import ALERT_COMMANDS, Principal
from deploy.local import postgres
from deploy.local.stack import Stack
from deploy.local.state import glances
from sharing.gateway.commands import KafkaCommands
from tests.sharing_platform import kafka_settings
from tests.support.forbidding import forbidden
from tests.support.gateway_world import World, bearer, client_of, operator_headers, token_of

ROOM = ("sharing", "faults")
INSERT_ALERT = """
INSERT INTO alert_transitions (alert, number, org, subject, rule, rule_version, vital, transition, severity, at, onset, unit,
                               reading, actor, about_past, received_at)
VALUES (%s, 1, 'org', %s, 'hr-high', 1, '8867-4', 'raised', 'warning', now(), now(), '', '', '', false, now())
"""


def wait_for(client: httpx.Client, address: str) -> None:
    """Wait until a gateway answers."""
    for _ in glances(30.0):
        with suppress(httpx.ConnectError):
            client.get(address)
            return
    raise AssertionError("the gateway never answered")


@pytest.fixture(scope="module")
def gateway(servers: Any) -> Iterator[Stack]:
    stack: Stack = servers.of(ROOM)
    stack.start_process("gateway", wait=True)
    yield stack
    stack.stop_process("gateway")


@pytest.fixture
def client(gateway: Stack) -> Iterator[httpx.Client]:
    with client_of(gateway) as made:
        yield made


@pytest.mark.timeout(180)
def test_without_its_database_the_gateway_says_so_and_recovers_by_itself(gateway: Stack, client: httpx.Client) -> None:
    with postgres.connect(gateway.settings("owner")) as owner:
        world = World(gateway, owner)
        subject, app = world.subject(), world.app()
        world.consent(subject, app, "8867-4")
        world.reading(subject, world.device(), "8867-4", 71.0)
    headers, search = bearer(token_of(client, app)), f"/fhir/Observation?patient={world.pseudonym(app, subject)}"

    gateway.stop_process("postgres")
    away = [client.get(path, headers=headers) for path in (search, "/fhir/Patient", "/healthz")]
    gateway.start_server("postgres")

    assert [answer.status_code for answer in away] == [503, 503, 503]
    assert away[0].json()["issue"][0]["code"] == "transient"
    assert all(answer.headers["retry-after"] for answer in away)
    for _ in glances(30.0):
        back = client.get(search, headers=headers)
        if back.status_code == 200:
            break
    assert len(back.json()["entry"]) == 1


def test_without_kafka_an_acknowledgement_is_refused_and_fhir_goes_on(gateway: Stack) -> None:
    ports = gateway.instance.ports
    changed = {
        "AGORA_GATEWAY_PORT": str(ports.base + 64),
        "AGORA_METRICS_PORT": str(ports.base + 63),
        "AGORA_KAFKA_BOOTSTRAP": f"127.0.0.1:{ports.base + 65}",
    }
    with postgres.connect(gateway.settings("owner")) as owner:
        world = World(gateway, owner)
        subject, app, alert = world.subject(), world.app(), uuid4()
        owner.execute(INSERT_ALERT, [alert, subject])
    gateway.start_process("gateway", changed, alias="gateway-alone")
    try:
        with client_of(gateway) as client:
            url = f"https://localhost:{ports.base + 64}"
            wait_for(client, f"{url}/healthz")
            answer = client.post(
                f"{url}/api/v1/alerts/{alert}/acknowledge", json={"by": "nurse"}, headers=operator_headers(gateway)
            )
            metadata = client.get(f"{url}/fhir/metadata")
            token = client.post(f"{url}/oauth/token", data={"grant_type": "client_credentials"}, auth=(f"client-{app}", "wrong"))
    finally:
        gateway.stop_process("gateway-alone")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert metadata.status_code == 200
    assert token.status_code == 401


async def obeyed(commands: KafkaCommands, wanted: bool) -> None:
    """Publish a command until Kafka takes it, or takes it no more."""
    command = AlertCommand(str(uuid4()), "nobody", Transition.ACKNOWLEDGED, "nurse", 1)
    for _ in glances(20.0):
        try:
            await commands.publish(command)
            taken = True
        except Unavailable:
            taken = False
        if taken == wanted:
            return
    raise AssertionError(f"Kafka {'never took a command again' if wanted else 'still takes commands'}")


async def test_after_kafka_refused_a_command_the_next_ones_are_taken(gateway: Stack) -> None:
    commands = KafkaCommands(kafka_settings(gateway.settings("gateway")))
    try:
        await obeyed(commands, wanted=True)
        with forbidden(gateway, Principal.GATEWAY, ALERT_COMMANDS):
            await obeyed(commands, wanted=False)
        await obeyed(commands, wanted=True)
    finally:
        await commands.close()
