"""The alert webhook: each transition is posted, signed, and sent again until the receiver takes it."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from threading import Thread
from typing import Any
from uuid import uuid4

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from contracts.alerts import AlertTransition, Severity, Transition, encode
from contracts.ids import partition_of
from contracts.topics import ALERTS
from deploy.local.stack import Stack
from runtime import kafka
from tests.sharing_platform import kafka_settings
from tests.support.gateway_world import NOON

KEY = b"a key of the tests, 32 bytes long"
SECRET = "whsec_" + b64encode(KEY).decode()
WAIT_SECONDS = 60
Message = tuple[dict[str, str], bytes]


class Receiver(HTTPServer):
    """Takes messages; answers with the statuses it was told first, then with 204."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.messages: Queue[Message] = Queue()
        self.failures: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/alerts"

    def next_message(self, alert: str) -> Message:
        """Give the next message about an alert."""
        while True:
            headers, content = self.messages.get(timeout=WAIT_SECONDS)
            if orjson.loads(content)["data"]["alert"] == alert:
                return headers, content


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        self.server.messages.put(({name.lower(): value for name, value in self.headers.items()}, content))
        self.send_response(self.server.failures.pop(0) if self.server.failures else 204)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def delivering(gateway: Stack, receiver: Receiver) -> Iterator[Stack]:
    """A second gateway, which has the webhook."""
    start(gateway, receiver)
    yield gateway
    gateway.stop_process("gateway-webhook")


def start(stack: Stack, receiver: Receiver) -> None:
    ports = stack.instance.ports
    changed = {
        "AGORA_GATEWAY_PORT": str(ports.base + 62), "AGORA_METRICS_PORT": str(ports.base + 61),
        "AGORA_GATEWAY_WEBHOOK_URL": receiver.url, "AGORA_GATEWAY_WEBHOOK_SECRET": SECRET,
    }  # fmt: skip
    stack.start_process("gateway", changed, alias="gateway-webhook")


@pytest.fixture
async def producer(gateway: Stack) -> AsyncIterator[AIOKafkaProducer]:
    made = kafka.producer(kafka_settings(gateway.env("streams")))
    await made.start()
    yield made
    await made.stop()


def transition(subject: str, number: int = 1) -> AlertTransition:
    return AlertTransition(
        alert=str(uuid4()),
        org="clinic",
        subject=subject,
        rule="hr-high",
        rule_version=1,
        vital="8867-4",
        transition=Transition.RAISED,
        severity=Severity.CRITICAL,
        at=NOON,
        onset=NOON,
        number=number,
        value=141.0,
        unit="/min",
        received_at=NOON,
    )


async def publish(producer: AIOKafkaProducer, happened: AlertTransition) -> None:
    partition = partition_of(happened.subject, ALERTS.partitions)
    await producer.send_and_wait(ALERTS.name, encode(happened), key=happened.subject.encode(), partition=partition)


def check_signature(headers: dict[str, str], content: bytes) -> None:
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + content
    assert b64decode(headers["webhook-signature"].removeprefix("v1,")) == hmac.digest(KEY, signed, "sha256")


async def test_a_transition_is_posted_signed_and_again_until_it_is_taken(
    delivering: Stack, receiver: Receiver, producer: AIOKafkaProducer
) -> None:
    receiver.failures += [500, 503]
    happened = transition("webhook-subject-1")

    await publish(producer, happened)

    attempts = [receiver.next_message(happened.alert) for _ in range(3)]
    assert {headers["webhook-id"] for headers, _ in attempts} == {f"msg_{happened.alert}_1"}
    assert len({content for _, content in attempts}) == 1
    for headers, content in attempts:
        check_signature(headers, content)
    body = orjson.loads(attempts[0][1])
    assert (body["type"], body["data"]["subject"], body["data"]["value"]) == ("alert.raised", happened.subject, 141.0)


async def test_what_was_taken_is_not_sent_again_and_what_was_not_is_after_a_kill(
    delivering: Stack, receiver: Receiver, producer: AIOKafkaProducer
) -> None:
    taken, refused, later = (transition("webhook-subject-2") for _ in range(3))
    await publish(producer, taken)
    receiver.next_message(taken.alert)
    receiver.failures += [500] * 3
    await publish(producer, refused)
    receiver.next_message(refused.alert)

    delivering.stop_process("gateway-webhook", seconds=0)
    receiver.failures.clear()
    await publish(producer, later)
    start(delivering, receiver)

    seen = []
    while later.alert not in seen:
        seen.append(orjson.loads(receiver.messages.get(timeout=WAIT_SECONDS)[1])["data"]["alert"])
    assert taken.alert not in seen
    assert seen[-2:] == [refused.alert, later.alert]


async def test_a_record_that_is_no_transition_is_passed_over(
    delivering: Stack, receiver: Receiver, producer: AIOKafkaProducer
) -> None:
    happened = transition("webhook-subject-3")
    partition = partition_of(happened.subject, ALERTS.partitions)

    await producer.send_and_wait(ALERTS.name, b"not JSON", key=happened.subject.encode(), partition=partition)
    await publish(producer, happened)

    receiver.next_message(happened.alert)
