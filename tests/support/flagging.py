"""What the tests of flagging share: a temperature as the normaliser writes it, and reading back the alerts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer, TopicPartition

from contracts.alerts import AlertTransition, decode_transition
from contracts.frames import encode as encode_frame
from contracts.frames import headers
from contracts.ids import observation_id, partition_of
from contracts.instants import SECOND
from contracts.observation import Observation, VitalsFrame
from contracts.topics import ALERTS, PARTITIONS, VITALS
from deploy.local.stack import Stack
from runtime import kafka
from runtime.settings import KafkaSettings

START = 1_700_000_000 * SECOND


def settings(stack: Stack, name: str) -> KafkaSettings:
    env = stack.env(name)
    return KafkaSettings(
        bootstrap=env["AGORA_KAFKA_BOOTSTRAP"], username=env["AGORA_KAFKA_USERNAME"], password=env["AGORA_KAFKA_PASSWORD"]
    )


def reading(subject: str, second: int, value: float) -> Observation:
    at = START + second * SECOND
    return Observation(
        id=observation_id("flags", subject, "8310-5", "", at, 0),
        org="flags",
        device=subject,
        subject=subject,
        vital="8310-5",
        site="",
        value=value,
        unit="Cel",
        device_time=at,
        effective_at=at,
        received_at=at,
        sequence=0,
    )


@asynccontextmanager
async def writer(stack: Stack) -> AsyncIterator[AIOKafkaProducer]:
    producer = kafka.producer(settings(stack, "operator"))
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def publish(producer: AIOKafkaProducer, observation: Observation) -> int:
    """Write a record of vitals; gives its offset."""
    sent = await producer.send_and_wait(
        VITALS.name,
        encode_frame(VitalsFrame([observation])),
        partition=partition_of(observation.subject, PARTITIONS),
        headers=headers(1),
    )
    return int(sent.offset)


async def transitions(stack: Stack, subjects: set[str], enough: int, seconds: float = 60) -> list[AlertTransition]:
    """Read alerts from the beginning until there are enough distinct ones, or the time is over."""
    reader = kafka.consumer(settings(stack, "operator"), None, ALERTS.name)
    await reader.start()
    found: dict[tuple[str, int], AlertTransition] = {}
    try:
        async with asyncio.timeout(seconds):
            while len(found) < enough:
                for batch in (await reader.getmany(timeout_ms=200)).values():
                    for record in batch:
                        transition = decode_transition(record.value)
                        if transition.subject in subjects:
                            known = found.setdefault((transition.alert, transition.number), transition)
                            assert known == transition, "a repeat says something else"
    finally:
        await reader.stop()
    return list(found.values())


async def acknowledged(stack: Stack, subject: str) -> None:
    """Wait until the workers' group stands at the end of a subject's vitals."""
    watcher = kafka.consumer(settings(stack, "operator"), "agora-streams")
    await watcher.start()
    place = TopicPartition(VITALS.name, partition_of(subject, PARTITIONS))
    try:
        async with asyncio.timeout(60):
            end = (await watcher.end_offsets([place]))[place]
            while (await watcher.committed(place) or 0) < end:  # noqa: ASYNC110 - another process's progress
                await asyncio.sleep(0.1)
    finally:
        await watcher.stop()
