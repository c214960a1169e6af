"""What the tests of the ingest room share: the bridge as a process, devices with real MQTT clients, and reading what it wrote."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from aiokafka import TopicPartition
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts.down import DeviceError, Receipt, decode_error, decode_receipts
from contracts.frames import RawMessage, decode_raw
from contracts.mqtt import down_topic, up_topic
from contracts.topics import RAW, Topic
from deploy.local.instance import CHECKOUT
from deploy.local.mosquitto import password_file, password_line
from deploy.local.stack import Stack
from runtime import kafka
from runtime.settings import KafkaSettings

PASSWORD = "of-a-test-device"
METRIC = re.compile(r"^(?P<name>agora_ingest_[a-z_]+)(?P<labels>\{.*\})? (?P<value>\S+)$")


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so, and fail when it is not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is asked lives in other processes and threads
            await asyncio.sleep(0.02)


def settings_of(stack: Stack) -> KafkaSettings:
    """Give the operator's way into Kafka."""
    env = stack.settings("operator")
    return KafkaSettings(
        bootstrap=env["AGORA_KAFKA_BOOTSTRAP"], username=env["AGORA_KAFKA_USERNAME"], password=env["AGORA_KAFKA_PASSWORD"]
    )


def enrol(stack: Stack, keys: Iterable[str]) -> None:
    """Give devices an account at the broker, as the keeper would."""
    accounts = password_file(stack.instance)
    known = accounts.read_text()
    fresh = [key for key in keys if f"{key}:" not in known]
    accounts.write_text(known + "".join(password_line(key, PASSWORD) for key in fresh))
    stack.kill("mosquitto", signal.SIGHUP)


async def records(stack: Stack, topic: Topic) -> list[Any]:
    """Read a topic from its beginning to its present end, partition by partition."""
    found: list[Any] = []
    async with kafka.consumer(settings_of(stack), None) as reader:
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        reader.assign(partitions)
        await reader.seek_to_beginning(*partitions)
        for partition, end in (await reader.end_offsets(partitions)).items():
            while await reader.position(partition) < end:
                found += (await reader.getmany(partition, timeout_ms=1000)).get(partition, [])
    return found


async def raw(stack: Stack, org: str) -> list[RawMessage]:
    """Read what an organisation's devices sent."""
    messages = [message for record in await records(stack, RAW) for message in decode_raw(record.value).messages]
    return [message for message in messages if message.topic.startswith(f"agora/v1/{org}/")]


class BridgeProcess:
    """The bridge as it runs in a deployment, with settings of its own where a test needs them.

    Attributes:
        module: what the next start runs, with its arguments.
    """

    def __init__(self, stack: Stack, number: int = 1, **settings: object) -> None:
        self._env = stack.env("bridge") | {f"AGORA_INGEST_{name.upper()}": str(value) for name, value in settings.items()}
        self._env["AGORA_METRICS_PORT"] = str(stack.instance.ports.metrics("bridge") + 10 * (number - 1))
        self._log = stack.instance.logs / f"bridge-of-a-test-{number}.log"
        self._log_begins = self._log.stat().st_size if self._log.exists() else 0
        self._process: subprocess.Popen[bytes] | None = None
        self.module = ["cli", "bridge"]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            await self.stop()

    async def start(self) -> None:
        """Start it, and wait until it takes messages or stands by."""
        self._launch()
        await until(lambda: self.metric("sessions_connected_total") + self.metric("standbys_total") > 0, 30)

    def _launch(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", *self.module], env=self._env, cwd=CHECKOUT, stderr=log)

    async def stop(self) -> int:
        """Ask it to end; give its exit code."""
        return await self._ended(signal.SIGTERM)

    async def kill(self) -> None:
        """End it in the middle of what it does."""
        await self._ended(signal.SIGKILL)

    async def _ended(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(number)
        return await asyncio.to_thread(process.wait, 30)

    @contextmanager
    def environment(self, **variables: str) -> Iterator[None]:
        """Start it with other variables for once."""
        known, self._env = self._env, self._env | variables
        yield
        self._env = known

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    def metric(self, name: str, **labels: str) -> float:
        """Give the sum of a metric over its labels, or over those with these values; 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._env['AGORA_METRICS_PORT']}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        matches = [match for line in lines if (match := METRIC.match(line)) and match["name"] == f"agora_ingest_{name}"]
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(float(match["value"]) for match in matches if all(words in (match["labels"] or "") for words in wanted))

    def told(self, event: str) -> list[dict[str, Any]]:
        """Give the lines of its log about an event, since this test began."""
        with self._log.open("rb") as log:
            log.seek(self._log_begins)
            lines = [json.loads(line) for line in log if line.startswith(b"{")]
        return [line for line in lines if line["event"] == event]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal that does not end it."""
        assert self._process is not None
        self._process.send_signal(number)

    def resident_mib(self) -> float:
        """Give the memory it holds."""
        assert self._process is not None
        with open(f"/proc/{self._process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Device:
    """A device with its own credential; it publishes with QoS 1 and hears what it is told."""

    def __init__(self, stack: Stack, key: str, version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5) -> None:
        self.org, self.name = key.split("/")
        self.receipts: list[Receipt] = []
        self.errors: list[DeviceError] = []
        self.heard: list[str] = []
        self.acknowledged: dict[int, str] = {}
        self.subscribed = False
        self._mqtt5 = version == MQTTProtocolVersion.MQTTv5
        self._env = stack.settings("bridge")
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=key, protocol=version)
        self._client.username_pw_set(key, PASSWORD)
        self._client.tls_set(self._env["AGORA_MQTT_CA_FILE"])
        self._client.reconnect_delay_set(1, 1)
        self._client.max_inflight_messages_set(0)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish

    async def __aenter__(self) -> Self:
        self._client.connect_async(self._env["AGORA_MQTT_HOST"], int(self._env["AGORA_MQTT_PORT"]))
        self._client.loop_start()
        await until(lambda: self.subscribed)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def send(
        self, payload: bytes, correlation: bytes | None = None, response: str | None = None, stream: str = "vitals", qos: int = 1
    ) -> int:
        """Publish; give the packet id."""
        properties: Properties | None = None
        if self._mqtt5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            if correlation is not None:
                properties.CorrelationData = correlation
            if response is not None:
                properties.ResponseTopic = response
        topic = up_topic(self.org, self.name, stream)
        return self._client.publish(topic, payload, qos=qos, properties=properties).mid

    def publish(self, topic: str, payload: bytes) -> int:
        """Publish on any topic, with QoS 1; give the packet id."""
        return self._client.publish(topic, payload, qos=1).mid

    def receipted(self) -> set[str]:
        """Give the handles of the receipts so far."""
        return {receipt.correlation for receipt in self.receipts}

    def _on_connect(
        self, client: Client, _data: object, _flags: object, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if not reason.is_failure:
            client.subscribe(down_topic(self.org, self.name, "#"), qos=1)

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, _reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self.subscribed = True

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.heard.append(message.topic)
        if message.topic.endswith("/receipts"):
            self.receipts += decode_receipts(bytes(message.payload)).receipts
        else:
            self.errors.append(decode_error(bytes(message.payload)))

    def _on_publish(self, _client: Client, _data: object, mid: int, reason: ReasonCode, _properties: Properties | None) -> None:
        self.acknowledged[mid] = str(reason)
