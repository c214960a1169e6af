"""Kafka's three listeners, that of its consensus included, as they are found by somebody with no client's manners."""

from __future__ import annotations

import socket

import pytest
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.admin import CreateTopicsRequest

from deploy.local.stack import Stack
from tests.support.mqtt_doors import trust

LISTENERS = ("kafka_internal", "kafka_controller", "kafka_apps")
EACH = pytest.mark.parametrize("listener", LISTENERS)
SECONDS = 5.0
TLS_ALERT = b"\x15"
DONE, NOT_AUTHORISED = 0, (29, 31)


async def connect(stack: Stack, listener: str, login: str = "", password: str = "") -> AIOKafkaConnection:
    """Come as far as a connection; without a login nobody is told who we are."""
    encrypted = listener == "kafka_apps"
    kinds = {(False, False): "PLAINTEXT", (False, True): "SSL", (True, False): "SASL_PLAINTEXT", (True, True): "SASL_SSL"}
    return await create_conn(
        "localhost" if encrypted else "127.0.0.1",
        getattr(stack.instance.ports, listener),
        request_timeout_ms=5000,
        security_protocol=kinds[bool(login), encrypted],
        ssl_context=trust(stack) if encrypted else None,
        sasl_mechanism="SCRAM-SHA-512" if login else None,
        sasl_plain_username=login or None,
        sasl_plain_password=password or None,
    )


async def answer(connection: AIOKafkaConnection) -> int:
    """Ask whether a topic could be made; gives Kafka's code."""
    try:
        told = await connection.send(CreateTopicsRequest([("agora.of-a-stranger.v1", 1, 1, [], [])], 1000, True))
        return int(told.topic_errors[0][1])
    finally:
        connection.close()


def password(stack: Stack, name: str) -> str:
    return stack.settings(name)["AGORA_KAFKA_PASSWORD"]


@EACH
async def test_who_has_not_said_who_he_is_gets_no_answer(stack: Stack, listener: str) -> None:
    with pytest.raises(KafkaConnectionError):
        await answer(await connect(stack, listener))


@EACH
async def test_a_wrong_password_or_another_ones_opens_nothing(stack: Stack, listener: str) -> None:
    for name, guess in (("operator", "a guess"), ("operator", password(stack, "store")), ("broker", password(stack, "operator"))):
        with pytest.raises(KafkaError):
            await connect(stack, listener, name, guess)


@EACH
async def test_a_process_may_administrate_at_no_listener_and_the_operator_may(stack: Stack, listener: str) -> None:
    assert await answer(await connect(stack, listener, "store", password(stack, "store"))) in NOT_AUTHORISED
    assert await answer(await connect(stack, listener, "operator", password(stack, "operator"))) == DONE


def test_the_door_for_apps_speaks_nothing_but_tls(stack: Stack) -> None:
    which_versions = bytes.fromhex("0000000e 0012 0000 00000007 0004 646f6f72")
    with socket.create_connection(("127.0.0.1", stack.instance.ports.kafka_internal), timeout=SECONDS) as plain:
        plain.sendall(which_versions)
        assert plain.recv(1) == b"\x00", "a question that Kafka answers to strangers where it speaks plainly"
    with socket.create_connection(("127.0.0.1", stack.instance.ports.kafka_apps), timeout=SECONDS) as plain:
        plain.sendall(which_versions)
        assert plain.recv(1) in (b"", TLS_ALERT)
