"""A gateway process for the tests of sharing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from deploy.local import postgres
from deploy.local.stack import Stack
from tests.support.gateway_world import World, client_of

ROOM = ("sharing", "integration")


@pytest.fixture(scope="module")
def gateway(servers: Any) -> Iterator[Stack]:
    """The servers of this room, with a gateway."""
    stack: Stack = servers.of(ROOM)
    stack.stop_process("gateway")  # what another module left running
    stack.start_process("gateway", wait=True)
    yield stack
    assert stack.stop_process("gateway"), "the gateway did not end by itself"


@pytest.fixture
def owner(gateway: Stack) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the schema's owner."""
    with postgres.connect(gateway.settings("owner")) as connection:
        yield connection


@pytest.fixture
def world(gateway: Stack, owner: psycopg.Connection[Any]) -> World:
    """An organisation of its own for each test."""
    return World(gateway, owner)


@pytest.fixture
def client(gateway: Stack) -> Iterator[httpx.Client]:
    """A client of the gateway."""
    with client_of(gateway) as made:
        yield made
