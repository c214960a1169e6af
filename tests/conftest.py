"""Real servers for the tests that need them, on ports and in folders of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from deploy.local.instance import Instance
from deploy.local.stack import Stack

# A busy machine is no failure: how long an example takes says nothing here.
settings.register_profile("all", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=40)
settings.load_profile("all")

SERVER_KINDS = ("integration", "faults", "e2e")
INSTANCE = os.environ.get("AGORA_INSTANCE", "test")
PORT_BASE = int(os.environ.get("AGORA_PORT_BASE", "22000"))


class Servers:
    """One stack at a time: each room's tests of one kind begin with empty servers, and share them."""

    def __init__(self) -> None:
        self._room: tuple[str, ...] = ()
        self._stack: Stack | None = None

    def of(self, room: tuple[str, ...]) -> Stack:
        if self._stack is None or room != self._room:
            self.stop()
            instance = Instance.of(INSTANCE, PORT_BASE)
            shutil.rmtree(instance.folder, ignore_errors=True)
            stack = Stack(instance)
            stack.start_servers()
            self._stack, self._room = stack, room
        return self._stack

    def stop(self) -> None:
        if self._stack is not None:
            self._stack.stop()
            self._stack = None


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    held = Servers()
    yield held
    held.stop()


@pytest.fixture
def stack(servers: Servers, request: pytest.FixtureRequest) -> Stack:
    """Kafka, TimescaleDB and mosquitto, provisioned, without any of our processes; shared by the tests of one folder."""
    return servers.of(_room_of(request.path))


def _room_of(path: Path) -> tuple[str, ...]:
    """Give room and kind: what a fault test leaves behind must not meet the room's other tests."""
    return tuple(reversed(path.relative_to(Path(__file__).parent).parts[:-1]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs servers, and keep a room's tests together so that its servers start once."""
    for item in items:
        kind = item.path.relative_to(Path(__file__).parent).parts[0]
        if kind in SERVER_KINDS:
            item.add_marker(pytest.mark.servers)
    items.sort(key=lambda item: (item.get_closest_marker("servers") is not None, _room_of(item.path) if _is_served(item) else ()))


def _is_served(item: pytest.Item) -> bool:
    return item.get_closest_marker("servers") is not None
