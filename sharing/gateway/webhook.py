"""One webhook out: each alert transition, signed as Standard Webhooks says, sent until it is taken (at least once).

A consumer group of its own reads ``agora.alerts.v1``; an offset is committed once the receiver answered with 2xx. Receivers drop
repeats by ``webhook-id``. Source: Standard Webhooks 1.0.0 (signature scheme v1, HMAC-SHA256).
"""

from __future__ import annotations

import asyncio
import hmac
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
import stamina
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from contracts.alerts import AlertTransition, decode_transition
from contracts.instants import SECOND, to_text
from contracts.topics import ALERTS
from runtime import kafka
from runtime.clock import now
from runtime.settings import KafkaSettings
from sharing.gateway import events

GROUP = "agora-gateway-webhook"
ANSWER_SECONDS = 15.0
LONGEST_WAIT_SECONDS = 60.0
RECONNECT_SECONDS = 1.0


class NotTaken(Exception):
    """The receiver did not answer with 2xx."""


def message_id(transition: AlertTransition) -> str:
    """Give the id of a transition's message, the same at each repeat."""
    return f"msg_{transition.alert}_{transition.number}"


def body(transition: AlertTransition) -> bytes:
    """Write the message of a transition."""
    content: dict[str, Any] = msgspec.to_builtins(transition)
    content |= {name: to_text(getattr(transition, name)) for name in ("at", "onset", "received_at")}
    kind = f"alert.{transition.transition.value}"
    return msgspec.json.encode({"type": kind, "timestamp": to_text(transition.at), "data": content})


def headers(key: bytes, identifier: str, content: bytes, instant: int) -> Mapping[str, str]:
    """Sign a message.

    Args:
        key: the secret's bytes.
        identifier: the message's id.
        content: its body.
        instant: of this attempt, microseconds.
    """
    seconds = instant // SECOND
    signature = b64encode(hmac.digest(key, f"{identifier}.{seconds}.".encode() + content, "sha256")).decode()
    return {
        "content-type": "application/json",
        "webhook-id": identifier,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{signature}",
    }


def client() -> httpx.AsyncClient:
    """Make what calls the receiver: it trusts the usual authorities and nobody else, whatever the environment says."""
    return httpx.AsyncClient(timeout=ANSWER_SECONDS, follow_redirects=False, trust_env=False)


class Webhook:
    """Delivers alert transitions to one address.

    Args:
        url: where to.
        key: signs the messages.
        settings: where Kafka is.
    """

    def __init__(self, url: str, key: bytes, settings: KafkaSettings) -> None:
        self._url = url
        self._key = key
        self._settings = settings

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with client() as caller:
            while True:
                consumer = kafka.consumer(
                    self._settings,
                    GROUP,
                    ALERTS.name,
                    max_poll_interval_ms=24 * 3600 * 1000,
                    fetch_max_wait_ms=kafka.PROMPT_MILLISECONDS,
                )
                try:
                    await consumer.start()
                    await self._follow(consumer, caller)
                except (KafkaError, OSError) as error:
                    events.WEBHOOK_INTERRUPTED.emit(reason=type(error).__name__)
                    await asyncio.sleep(RECONNECT_SECONDS)
                finally:
                    await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer, caller: httpx.AsyncClient) -> None:
        async for record in consumer:
            try:
                transition = decode_transition(record.value)
            except msgspec.DecodeError:
                events.WEBHOOK_SKIPPED.emit()
            else:
                await self.deliver(caller, transition)
            place = {kafka_partition(record): OffsetAndMetadata(record.offset + 1, "")}
            await consumer.commit(place)

    async def deliver(self, caller: httpx.AsyncClient, transition: AlertTransition) -> None:
        """Send one transition until it is taken.

        Args:
            caller: from ``client``.
            transition: what happened.
        """
        content = body(transition)
        identifier = message_id(transition)
        kinds = (httpx.HTTPError, NotTaken)
        async for attempt in stamina.retry_context(on=kinds, attempts=None, timeout=None, wait_max=LONGEST_WAIT_SECONDS):
            with attempt:
                await self._send(caller, identifier, content)
        events.WEBHOOK_DELIVERED.emit()

    async def _send(self, caller: httpx.AsyncClient, identifier: str, content: bytes) -> None:
        try:
            answer = await caller.post(self._url, content=content, headers=headers(self._key, identifier, content, now()))
        except httpx.HTTPError as error:
            events.WEBHOOK_FAILED.emit(reason=type(error).__name__)
            raise
        if not answer.is_success:
            events.WEBHOOK_FAILED.emit(reason=str(answer.status_code))
            raise NotTaken(str(answer.status_code))


def kafka_partition(record: Any) -> Any:
    """Name the partition a record came from, as aiokafka wants it."""
    from aiokafka import TopicPartition

    return TopicPartition(record.topic, record.partition)
