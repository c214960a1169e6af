"""Who joins a group while a topic is not known yet."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from aiokafka import AIOKafkaConsumer
from confluent_kafka.admin import AdminClient, NewTopic

from contracts.topics import RAW
from deploy.local import kafka as local
from deploy.local.stack import Stack
from runtime import kafka
from tests.sharing_platform import kafka_settings

SECONDS = 30.0


async def test_a_topic_that_comes_after_its_group_has_formed_is_read_within_seconds(stack: Stack) -> None:
    # As Kafka does that has just begun: it knows one topic of a group, and the other a moment later.
    late = f"agora.app.late-{uuid4().hex[:8]}.v1"
    operator = kafka_settings(stack.settings("operator"))
    admin = AdminClient(local.client(stack.settings("operator")))
    consumer = kafka.consumer(operator, f"agora-late-{uuid4().hex[:8]}")
    await consumer.start()
    consumer.subscribe([RAW.name, late])  # as Faust does, once it has begun
    try:
        async with asyncio.timeout(SECONDS):
            await _assigned(consumer, RAW.name)
            await asyncio.to_thread(admin.create_topics([NewTopic(late, 1, 1)])[late].result, 15)
            await _assigned(consumer, late)
    finally:
        await consumer.stop()
        await asyncio.to_thread(admin.delete_topics([late])[late].result, 15)


async def _assigned(consumer: AIOKafkaConsumer, topic: str) -> None:
    while not any(place.topic == topic for place in consumer.assignment()):  # noqa: ASYNC110 - the client sets no event here
        await asyncio.sleep(0.1)
