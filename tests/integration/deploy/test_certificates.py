"""Our own clients at a server with a bad certificate: they say nothing to it, not even who they are."""

from __future__ import annotations

import asyncio
import datetime
import gc
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import certifi
import httpx
import pytest
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException
from pydantic import SecretStr

from contracts.errors import Unavailable
from ingest.packets import Packets
from ingest.session import Session
from ingest.settings import IngestSettings
from registry.app_access import admin
from runtime import kafka
from runtime.settings import KafkaSettings, MqttSettings
from sharing.gateway import webhook as webhooks
from sharing.gateway.operator_client import OperatorClient
from sharing.gateway.settings import OperatorClientSettings
from simulators.connection import BrokerAddress, Connection, Hooks
from simulators.patients import DeviceCredential
from tests.support.tls import Authority, Doorway

Client = Callable[[int, Path], Awaitable[object]]


class Nobody:
    """Lives from no session."""

    def packets_received(self, packets: Packets, size: int) -> None: ...
    def session_opened(self, receive_maximum: int) -> None: ...
    def session_closed(self) -> None: ...
    async def session_yielded(self) -> None: ...


def kafka_settings(port: int, trust: Path) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=f"127.0.0.1:{port}", username="x", password=SecretStr("x"), security="SASL_SSL", ca_file=str(trust)
    )


async def bridge(port: int, trust: Path) -> None:
    mqtt = MqttSettings(host="localhost", port=port, ca_file=str(trust), username="x", password=SecretStr("x"))
    session = Session(mqtt, IngestSettings(), Nobody())
    assert await session._once() is not None


async def device(port: int, trust: Path) -> None:
    address = BrokerAddress("localhost", port, trust)
    hooks = Hooks(lambda _: None, lambda _: None, lambda _mid, _refusal: None, lambda: None)
    connection = Connection(
        address, address.tls(), DeviceCredential(org="clinic", device="cuff-1", model="agora-cuff", password="x"), hooks
    )
    with pytest.raises(OSError):  # noqa: PT011 - of many kinds, some without words
        await connection.open()


async def processes(port: int, trust: Path) -> None:
    producer = kafka.producer(kafka_settings(port, trust), request_timeout_ms=2000)
    with pytest.raises(KafkaError):
        await producer.start()
    await producer.stop()


async def administration(port: int, trust: Path) -> None:
    client = admin(kafka_settings(port, trust))
    with pytest.raises(KafkaException):
        await asyncio.to_thread(client.list_topics, timeout=2)


async def operator(port: int, trust: Path) -> None:
    settings = OperatorClientSettings(
        gateway_public_url=f"https://localhost:{port}", gateway_operator_token=SecretStr("x"), ca_file=str(trust)
    )
    with OperatorClient(settings) as client, pytest.raises(Unavailable):
        await asyncio.to_thread(client.alerts, None, only_open=True, limit=1)


async def webhook(port: int, trust: Path) -> None:
    usual = certifi.where
    certifi.where = lambda: str(trust)  # the usual authorities, which the webhook trusts, are now those of the test
    try:
        calling = webhooks.client()
    finally:
        certifi.where = usual
    delivery = webhooks.Webhook(f"https://localhost:{port}/alerts", b"k" * 24, kafka_settings(port, trust))
    async with calling:
        with pytest.raises(httpx.TransportError):
            await delivery._send(calling, "msg_x_1", b"{}")


def collect() -> None:
    """Collect the connections that aiokafka and paho leave to the collector when they are refused; here nobody hears of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.parametrize("client", [bridge, device, processes, administration, operator, webhook])
async def test_no_client_of_ours_speaks_to_a_server_whose_certificate_is_not_good(client: Client, tmp_path: Path) -> None:
    ours, foreign = Authority.make(tmp_path / "ours"), Authority.make(tmp_path / "foreign")
    bad = (ours.vouch(age=datetime.timedelta(days=30)), foreign.vouch(), ours.vouch("elsewhere.example"))
    with Doorway(ours.vouch()) as door:
        await client(door.port, ours.file)
    collect()
    assert door.entered, "content with a good one"
    for certificate in bad:
        with Doorway(certificate) as door:
            await client(door.port, ours.file)
        collect()
        assert (door.entered, door.turned_away > 0) == (0, True), certificate.name
