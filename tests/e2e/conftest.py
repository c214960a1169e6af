"""The whole platform as a user starts it, shared by the tests of this folder."""

import os
from collections.abc import Iterator

import pytest

from deploy.local import detached
from deploy.local.instance import Instance
from deploy.local.view import View

NAME = os.environ.get("AGORA_INSTANCE", "test") + "-demo"
PORT_BASE = int(os.environ.get("AGORA_PORT_BASE", "22000")) + 500


def quiet(step: str) -> None:
    """Tell nobody."""


@pytest.fixture(scope="package")
def platform() -> Iterator[View]:
    """Servers and all processes, begun empty."""
    instance = Instance.of(NAME, PORT_BASE)
    detached.down(instance, quiet, purge=True)
    detached.up(instance, quiet)
    yield View(instance)
    detached.down(instance, quiet, purge=True)
