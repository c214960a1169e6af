"""A real mosquitto with TLS, passwords and access list, and a small stand-in for the bridge that answers with receipts."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts.down import DeviceError, Receipt, Receipts, correlation_text, encode
from contracts.mqtt import ERRORS, RECEIPTS, UP_FILTER, down_topic, parse_up
from simulators.connection import BrokerAddress
from simulators.patients import DeviceCredential

BRIDGE = ("agora-bridge", "bridge-secret")
DEVICES = 120
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin") or "mosquitto"
"""Debian keeps it where ordinary users' search path does not look."""


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - waits for other processes, which set no event here
            await asyncio.sleep(0.02)


def credential(number: int, model: str = "agora-oximeter", subject: str = "") -> DeviceCredential:
    return DeviceCredential(
        org="clinic", device=f"device-{number}", model=model, password=f"secret-{number}", subject=subject or f"subject-{number}"
    )


def write_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Broker:
    """A mosquitto that can be killed and started again."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> BrokerAddress:
        return BrokerAddress("127.0.0.1", self.port, self.folder / "server.crt")

    async def start(self) -> None:
        await asyncio.to_thread(self._spawn)
        await until(self._listens)

    def _spawn(self) -> None:
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([MOSQUITTO, "-c", str(self.folder / "mosquitto.conf")], stderr=log)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(sign)
            self.process.wait(10)
            self.process = None


@pytest.fixture(scope="session")
def broker_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mosquitto")
    write_certificate(folder)
    accounts = [BRIDGE, *((credential(number).key, credential(number).password) for number in range(DEVICES))]
    passwords = folder / "passwords"
    passwords.write_text("".join(f"{name}:{password}\n" for name, password in accounts))
    passwords.chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
    (folder / "access").write_text(
        "pattern write agora/v1/%u/up/+\npattern read agora/v1/%u/down/+\n"
        f"user {BRIDGE[0]}\ntopic read {UP_FILTER}\ntopic write agora/v1/+/+/down/#\n"
    )
    (folder / "access").chmod(0o600)
    return folder


@pytest.fixture
async def broker(broker_folder: Path) -> AsyncIterator[Broker]:
    port = free_port()
    (broker_folder / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\nuser root\n"
        f"certfile {broker_folder}/server.crt\nkeyfile {broker_folder}/server.key\n"
        f"password_file {broker_folder}/passwords\nacl_file {broker_folder}/access\n"
    )
    running = Broker(broker_folder, port)
    await running.start()
    yield running
    running.stop()


class Envelope(msgspec.Struct):
    """What a bridge looks for in a message without correlation data."""

    message_id: str = ""


@dataclass
class AnsweringBridge:
    """Says that everything is durable, once told to answer."""

    address: BrokerAddress
    answering: bool = True
    error_code: str = ""
    retry_after: int = 0
    seen: list[tuple[str, bytes, str]] = field(default_factory=list)
    """Device key, payload, correlation of every publish, in order of arrival."""

    def __post_init__(self) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, "agora-bridge", protocol=MQTTv5)
        self._client.username_pw_set(*BRIDGE)
        self._client.tls_set_context(self.address.tls())
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    async def start(self) -> None:
        await asyncio.to_thread(self._client.connect, self.address.host, self.address.port)
        self._client.loop_start()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self, client: Client, _userdata: object, _flags: ConnectFlags, _reason: ReasonCode, _properties: Properties | None
    ) -> None:
        client.subscribe(UP_FILTER, qos=1)

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        topic = parse_up(message.topic)
        payload = bytes(message.payload)
        data: bytes | None = getattr(message.properties, "CorrelationData", None)
        if data is None:
            try:
                correlation, kind = msgspec.json.decode(payload, type=Envelope).message_id, "message_id"
            except msgspec.DecodeError:
                correlation, kind = "", ""
        else:
            correlation, kind = correlation_text(data), "correlation"
        self.seen.append((f"{topic.org}/{topic.device}", payload, correlation))
        if self.answering and correlation:
            body = encode(Receipts([Receipt(correlation, kind)]))
            self._client.publish(down_topic(topic.org, topic.device, RECEIPTS), body, qos=1)
        if self.error_code:
            error = encode(DeviceError(self.error_code, "in words", correlation=correlation, retry_after=self.retry_after))
            self._client.publish(down_topic(topic.org, topic.device, ERRORS), error, qos=1)

    def correlations(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for device, _, correlation in self.seen:
            found.setdefault(device, set()).add(correlation)
        return found


@pytest.fixture
async def bridge(broker: Broker) -> AsyncIterator[AnsweringBridge]:
    running = AnsweringBridge(broker.address)
    await running.start()
    yield running
    await asyncio.to_thread(running.stop)
