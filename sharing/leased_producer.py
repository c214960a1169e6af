"""A Kafka producer that asks for permission at the last moment before bytes leave, at each attempt of its own retries, too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import (
    KafkaError,
    KafkaStorageError,
    NodeNotReadyError,
    NotEnoughReplicasAfterAppendError,
    RequestTimedOutError,
    UnknownError,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import RecordMetadata

from runtime import kafka
from runtime.settings import KafkaSettings

BATCH_BYTES = 256 * 1024
"""Small enough to leave for the broker in one piece."""
REQUEST_MS = 5_000
MAYBE_APPENDED = frozenset(
    error.errno for error in (RequestTimedOutError, NotEnoughReplicasAfterAppendError, KafkaStorageError, UnknownError)
)
"""A broker that answers with one of these may have appended nevertheless; any other error says that it has not."""


class PermissionLost(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """The permission for a batch was gone before it was sent; nothing left. Not retriable: it must be decided anew."""

    retriable = False


class Unconfirmed(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """A batch left at least once and its confirmation never came: it may stand on the topic or not. The cause is in it."""

    retriable = False


class LeasedProducer:
    """Sends one batch per topic at a time, only while its permission holds.

    aiokafka retries a batch by itself; each attempt passes the permission again. Idempotence is off: with it, a batch could
    not be given up. Batches of a topic keep their order, since the next is sent only after the last was answered.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._producer = kafka.producer(
            settings,
            enable_idempotence=False,
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=REQUEST_MS,
        )
        self._permissions: dict[str, Callable[[], bool]] = {}
        self._doubtful: set[str] = set()  # topics whose batch left without an answer that says what became of it

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()
        client = self._producer.client
        send = client.send

        async def ask_and_send(node_id: int, request: Any, **options: Any) -> Any:
            if isinstance(request, ProduceRequest):
                # Connecting takes time: it comes before the question, so that nothing waits between the question and the send.
                if not await client.ready(node_id, **options):
                    raise NodeNotReadyError
                if not all(permission() for permission in self._permissions.values()):
                    raise PermissionLost
                return await self._watched(request, send(node_id, request, **options))
            return await send(node_id, request, **options)

        client.send = ask_and_send

    async def _watched(self, request: Any, sending: Awaitable[Any]) -> Any:
        """Send, and note of which batches it stays unknown whether they were appended."""
        try:
            answer = await sending
        except BaseException:
            self._doubtful.update(topic for topic, _ in request._topics)
            raise
        self._doubtful.update(
            topic for topic, partitions in answer.topics for partition in partitions if partition[1] in MAYBE_APPENDED
        )
        return answer

    async def stop(self) -> None:
        """Disconnect; what is in flight is awaited."""
        await self._producer.stop()

    def batch(self) -> Any:
        """Give an empty batch; its ``append(key=, value=, timestamp=None, headers=)`` returns None once it is full."""
        return self._producer.create_batch()

    async def send(self, topic: str, batch: Any, permission: Callable[[], bool]) -> RecordMetadata:
        """Send a batch and wait for its confirmation.

        Args:
            topic: a topic of one partition; one batch of it at a time.
            batch: from ``batch``, not empty.
            permission: asked right before each attempt.

        Returns:
            The broker's answer: offset of the first record, and when it was appended, in milliseconds.

        Raises:
            PermissionLost: nothing left.
            Unconfirmed: it left, at this or an earlier attempt, and may have been appended or not.
            KafkaError: it was not appended.
        """
        self._permissions[topic] = permission
        self._doubtful.discard(topic)
        try:
            confirmation = await self._producer.send_batch(batch, topic, partition=0)
            answer = await confirmation
        except KafkaError as error:
            del self._permissions[topic]
            if topic in self._doubtful:
                raise Unconfirmed from error
            raise
        except asyncio.CancelledError:
            # The batch may still wait inside the client: it must not leave any more.
            self._permissions[topic] = _never
            raise
        del self._permissions[topic]
        return answer


def _never() -> bool:
    return False
