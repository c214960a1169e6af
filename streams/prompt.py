"""Faust's consumer with a short wait at the broker.

The client has one request for records under way, and it names only the partitions of which nothing is left to process. A record
that comes to another partition in the meantime waits until that request is answered: with the next record elsewhere, or when its
time is over. Faust fixes that time at 1.5 s. Where little comes, a reading then took up to 2.5 s through this process (measured).
"""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport

from runtime.kafka import PROMPT_MILLISECONDS


class PromptThread(AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped here
    """Makes the client."""

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = PROMPT_MILLISECONDS  # read when it starts; Faust has no setting for it
        return consumer


class PromptConsumer(Consumer):  # type: ignore[misc]
    """Runs the client in its thread."""

    def _new_consumer_thread(self) -> PromptThread:
        return PromptThread(self, loop=self.loop, beacon=self.beacon)


class PromptTransport(Transport):  # type: ignore[misc]
    """Faust's Kafka with our consumer."""

    Consumer = PromptConsumer
