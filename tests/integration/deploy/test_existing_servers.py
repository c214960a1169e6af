"""Servers that exist already, given by their addresses, are used instead of being started here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.local import credentials, detached, environment, postgres
from deploy.local.instance import Instance
from deploy.local.provisioning import provision_database, provision_kafka
from deploy.local.stack import Stack

BESIDE = 600
"""How far the ports of these tests' own instance are from the shared one's."""


@pytest.fixture
def guest(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    """An instance that is told of another one's servers."""
    given = stack.settings("operator") | stack.settings(environment.OWNER) | stack.settings("bridge")
    administrator = {name: value for name, value in stack.settings("operator").items() if name.startswith("AGORA_KAFKA_")}
    for name, value in (given | administrator).items():
        if name.startswith(("AGORA_KAFKA_", "AGORA_DATABASE_", "AGORA_MQTT_")):
            monkeypatch.setenv(name, value)
    made = Instance.of("guest", stack.instance.ports.base + BESIDE)
    yield made
    detached.down(made, lambda _step: None, purge=True)
    # The guest gave the users passwords of its own.
    secrets = credentials.load_or_make(stack.instance)
    provision_kafka(stack.settings("operator"), secrets)
    provision_database(stack.settings(environment.OWNER), secrets)


def test_servers_whose_addresses_are_given_are_provisioned_and_none_is_started(stack: Stack, guest: Instance) -> None:
    with Stack(guest) as visitor:
        visitor.start_servers()
        assert visitor.state().processes == {}
        assert all(visitor.answers(name) for name in ("kafka", "postgres", "mosquitto"))
        told = visitor.settings("store")
        assert told["AGORA_KAFKA_BOOTSTRAP"].endswith(str(stack.instance.ports.kafka_internal))
        with postgres.connect(told) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("agora_store",)
    assert all(stack.answers(name) for name in ("kafka", "postgres", "mosquitto"))
