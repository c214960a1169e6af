"""A Kafka producer that asks for permission at the last moment before bytes leave, at each attempt of its own retries, too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import RecordMetadata

from runtime import kafka
from runtime.settings import KafkaSettings

BATCH_BYTES = 256 * 1024
"""Small enough to leave for the broker in one piece."""
REQUEST_MS = 5_000


class PermissionLost(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """The permission for a batch was gone when it was about to be sent; nothing left. Not retriable: it must be decided anew."""

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

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()
        client = self._producer.client
        send = client.send

        async def ask_and_send(node_id: int, request: Any, **options: Any) -> Any:
            if isinstance(request, ProduceRequest):
                # Connecting takes time: it comes before the question, so that nothing waits between the question and the send.
                await client.ready(node_id, **options)
                if not all(permission() for permission in self._permissions.values()):
                    raise PermissionLost
            return await send(node_id, request, **options)

        client.send = ask_and_send

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
            PermissionLost: nothing was sent.
            KafkaError: it was not confirmed; it may have been appended or not.
        """
        self._permissions[topic] = permission
        try:
            confirmation = await self._producer.send_batch(batch, topic, partition=0)
            answer = await confirmation
        except KafkaError:
            del self._permissions[topic]
            raise
        except asyncio.CancelledError:
            # The batch may still wait inside the client: it must not leave any more.
            self._permissions[topic] = _never
            raise
        del self._permissions[topic]
        return answer


def _never() -> bool:
    return False
