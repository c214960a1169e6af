"""What the registry's tests share: keepers as processes, the registry topics as their readers see them, devices on the broker."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from aiokafka import TopicPartition
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from contracts.registry import HEARTBEAT_KEY
from contracts.topics import Topic
from deploy.local.stack import Stack
from registry.organisations import add_organisation, add_subject, list_organisations
from registry.outbox import Database
from runtime import kafka
from runtime.settings import KafkaSettings

ORG = "keeping"


class Keeper:
    """A keeper as a process of its own."""

    def __init__(self, stack: Stack, log: Path, number: int = 0, **settings: str) -> None:
        self._port = stack.instance.ports.metrics("keeper") if number == 0 else stack.instance.ports.base + 60 + number
        self._env = stack.env("keeper") | {"AGORA_METRICS_PORT": str(self._port)} | settings
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "cli", "keeper"], env=self._env, stderr=log, stdout=log)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def metric(self, name: str) -> float | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=2) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return None
        found = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(found) if found else None

    def leads(self) -> bool:
        return self.metric("agora_keeper_leader") == 1

    def wait_leading(self, seconds: float = 20) -> None:
        until(self.leads, seconds)
        until(lambda: (self.metric("agora_keeper_heartbeats_total") or 0) > 0, seconds)

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]


def until(holds: Callable[[], bool], seconds: float = 15, pause: float = 0.05) -> None:
    """Wait until something holds."""
    deadline, waiting = time.monotonic() + seconds, threading.Event()
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold in time"
        waiting.wait(pause)


@contextmanager
def database(stack: Stack, role: str = "operator") -> Iterator[Database]:
    """Open a connection as a process of the platform has it."""
    env = stack.settings(role)
    with psycopg.connect(
        host=env["AGORA_DATABASE_HOST"],
        port=env["AGORA_DATABASE_PORT"],
        dbname=env["AGORA_DATABASE_NAME"],
        user=env["AGORA_DATABASE_USER"],
        password=env["AGORA_DATABASE_PASSWORD"],
        autocommit=True,
    ) as connection:
        yield connection


def populate(connection: Database, *subjects: str) -> None:
    """Make the tests' organisation and subjects, where they are missing."""
    if ORG not in {one.name for one in list_organisations(connection)}:
        add_organisation(connection, ORG, "Keeping")
    known = {name for (name,) in connection.execute("SELECT name FROM subjects")}
    for name in subjects:
        if name not in known:
            add_subject(connection, name, ORG, "urn:test", name)


def kafka_settings(stack: Stack, role: str = "operator") -> KafkaSettings:
    env = stack.settings(role)
    return KafkaSettings(
        bootstrap=env["AGORA_KAFKA_BOOTSTRAP"], username=env["AGORA_KAFKA_USERNAME"], password=env["AGORA_KAFKA_PASSWORD"]
    )


async def read_topic(settings: KafkaSettings, topic: Topic, start: int = 0) -> list[Any]:
    """Read what stands in a registry topic, heartbeats included, as its readers see it."""
    reader = kafka.consumer(settings, None)
    await reader.start()
    try:
        partition = TopicPartition(topic.name, 0)
        reader.assign([partition])
        end = (await reader.end_offsets([partition]))[partition]
        first = (await reader.beginning_offsets([partition]))[partition]
        reader.seek(partition, max(start, first))
        found: list[Any] = []
        while await reader.position(partition) < end:
            for batch in (await reader.getmany(timeout_ms=200)).values():
                found += batch
    finally:
        await reader.stop()
    return found


def registry_records(found: list[Any]) -> list[tuple[str, dict[str, Any] | None]]:
    """Give key and value of what are no heartbeats."""
    return [
        (record.key.decode(), None if record.value is None else json.loads(record.value))
        for record in found
        if record.key.decode() != HEARTBEAT_KEY
    ]


class Knocking:
    """A client that knocks at the broker once."""

    def __init__(self, stack: Stack, user: str, password: str) -> None:
        env = stack.settings("operator")
        self.reason: str | None = None
        self.closed = threading.Event()
        self._decided = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False)
        self._client.username_pw_set(user, password)
        self._client.tls_set_context(ssl.create_default_context(cafile=env["AGORA_MQTT_CA_FILE"]))
        self._client.on_connect = self._welcome
        self._client.on_disconnect = lambda *_: self.closed.set()
        self._client.connect("localhost", int(env["AGORA_MQTT_PORT"]))
        self._client.loop_start()
        assert self._decided.wait(10)

    def _welcome(self, _client: Client, _data: object, _flags: object, reason: object, _properties: object) -> None:
        self.reason = str(reason)
        self._decided.set()

    @property
    def let_in(self) -> bool:
        return self.reason == "Success"

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def knock(stack: Stack, user: str, password: str) -> bool:
    """Tell whether the broker lets somebody in."""
    client = Knocking(stack, user, password)
    client.leave()
    return client.let_in


def broker_file(stack: Stack) -> Path:
    return Path(stack.settings("keeper")["AGORA_KEEPER_BROKER_PASSWORD_FILE"])
