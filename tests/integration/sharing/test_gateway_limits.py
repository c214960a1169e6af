"""Who asks more often than they may waits; the others do not notice. The gateway runs with limits that a test can reach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from deploy.local.stack import Stack
from tests.support.gateway_world import SECRET, World, bearer, outcome, token_of

ROOM = ("sharing", "integration")
GRANT = {"grant_type": "client_credentials"}
QUERIES, TOKENS, OF_ADDRESS = 8, 4, 30
LIMITS = {
    "AGORA_GATEWAY_QUERIES_PER_SECOND": "0.1",
    "AGORA_GATEWAY_BURST_QUERIES": str(QUERIES),
    "AGORA_GATEWAY_TOKENS_PER_MINUTE": "1",
    "AGORA_GATEWAY_BURST_TOKENS": str(TOKENS),
    "AGORA_GATEWAY_ADDRESS_TOKENS_PER_MINUTE": "6",
    "AGORA_GATEWAY_ADDRESS_BURST_TOKENS": str(OF_ADDRESS),
}


@pytest.fixture(scope="module")
def gateway(servers: Any) -> Iterator[Stack]:
    """The room's gateway, with narrow limits."""
    stack: Stack = servers.of(ROOM)
    stack.stop_process("gateway")  # what another module left running
    stack.start_process("gateway", LIMITS, wait=True)
    yield stack
    stack.stop_process("gateway")


def test_an_app_that_asks_too_often_waits_and_another_does_not(world: World, client: httpx.Client) -> None:
    app, other = world.app(), world.app()
    of_app, of_other = bearer(token_of(client, app)), bearer(token_of(client, other))

    answers = [client.get("/fhir/Patient", headers=of_app) for _ in range(QUERIES + 3)]
    search = client.get("/fhir/Observation?patient=x", headers=of_app)

    assert [answer.status_code for answer in answers] == [200] * QUERIES + [429] * 3
    assert (search.status_code, outcome(search)) == (429, "throttled")
    assert 1 <= int(search.headers["retry-after"]) <= 10
    assert [access["reason"] for access in world.accesses(app)] == ["too many requests"], "on record, once a minute"
    assert client.get("/fhir/Patient", headers=of_other).status_code == 200


def test_another_token_of_the_same_app_gives_no_more(world: World, client: httpx.Client) -> None:
    app = world.app()
    first, second = bearer(token_of(client, app)), bearer(token_of(client, app))
    assert {client.get("/fhir/Patient", headers=first).status_code for _ in range(QUERIES)} == {200}

    assert client.get("/fhir/Patient", headers=second).status_code == 429


def test_a_client_that_asks_for_too_many_tokens_waits_and_then_so_does_whoever_floods_the_door(
    world: World, client: httpx.Client
) -> None:
    app, other = world.app(), world.app()

    answers = [client.post("/oauth/token", data=GRANT, auth=(f"client-{app}", SECRET)) for _ in range(TOKENS + 1)]

    assert [answer.status_code for answer in answers] == [200] * TOKENS + [429]
    assert answers[-1].json()["error"] == "slow_down"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert token_of(client, other)
    guesses = [client.post("/oauth/token", data=GRANT, auth=(f"guess-{n}", "x")).status_code for n in range(OF_ADDRESS)]
    assert guesses[0] == 401
    assert guesses[-1] == 429, "another name each time is no way round"
