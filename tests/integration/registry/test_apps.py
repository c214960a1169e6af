"""Apps in Kafka: what they may do once the keeper has provided for them, and no longer when they are revoked."""

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError

from contracts.registry import AppRecord
from contracts.topics import REGISTRY_APPS, VITALS, app_topic
from deploy.local.stack import Stack
from registry import outbox
from registry.outbox import Database
from runtime import kafka
from runtime.settings import KafkaSettings
from sharing import apps
from sharing.kafka_users import KafkaUsers
from tests.support.keeping import ORG, Keeper, kafka_settings, until


def as_app(stack: Stack, access: apps.Access) -> KafkaSettings:
    env = stack.settings("operator")
    return KafkaSettings(
        bootstrap=env["AGORA_KAFKA_APPS_BOOTSTRAP"],
        username=access.kafka_user,
        password=access.kafka_password,
        security="SASL_SSL",
        ca_file=env["AGORA_KAFKA_CA_FILE"],
    )


async def read_once(settings: KafkaSettings, group: str, topic: str) -> list[bytes | None]:
    reader = kafka.consumer(settings, group, topic)
    try:
        await reader.start()
        batches = await reader.getmany(timeout_ms=8000)
        return [record.value for batch in batches.values() for record in batch]
    finally:
        await reader.stop()


async def read_on(reader: AIOKafkaConsumer, never: bytes) -> None:
    """Read until the broker refuses; what was written after the revocation must not be among it."""
    for _ in range(10):
        batches = await reader.getmany(timeout_ms=2000)
        assert never not in [record.value for batch in batches.values() for record in batch]


async def write(stack: Stack, topic: str, value: bytes) -> None:
    producer = kafka.producer(kafka_settings(stack, "router"))
    await producer.start()
    await producer.send_and_wait(topic, value, key=b"k")
    await producer.stop()


async def test_an_app_reads_its_topic_in_its_groups_and_nothing_else(stack: Stack, operator: Database, keeper: Keeper) -> None:
    access = apps.add(operator, KafkaUsers(kafka_settings(stack)), ORG, "rhythm")
    apps.wait_provisioned(operator, "rhythm", 20)
    await write(stack, access.topic, b"one")
    settings = as_app(stack, access)
    assert await read_once(settings, "agora-app-rhythm", access.topic) == [b"one"]
    assert await read_once(settings, "agora-app-rhythm.nightly", access.topic) == [b"one"]
    with pytest.raises(GroupAuthorizationFailedError):
        await read_once(settings, "agora-app-rhythm-2", access.topic)
    with pytest.raises(TopicAuthorizationFailedError):
        await read_once(settings, "agora-app-rhythm", VITALS.name)


async def test_a_revoked_app_is_stopped_in_the_middle_by_the_keeper_alone(
    stack: Stack, operator: Database, keeper: Keeper
) -> None:
    access = apps.add(operator, KafkaUsers(kafka_settings(stack)), ORG, "pulse")
    apps.wait_provisioned(operator, "pulse", 20)
    reader = kafka.consumer(as_app(stack, access), "agora-app-pulse", access.topic)
    try:
        await reader.start()
        await write(stack, access.topic, b"before")
        assert await reader.getmany(timeout_ms=8000)
        with operator.transaction():
            operator.execute("UPDATE apps SET revoked_at = now() WHERE name = 'pulse'")
            record = AppRecord(app="pulse", org=ORG, client_id=access.client_id, active=False)
            outbox.append(operator, REGISTRY_APPS, "pulse", record)
        until(lambda: bool(keeper.events("keeper.app_revoked")))
        await write(stack, access.topic, b"after")
        with pytest.raises(KafkaError):
            await read_on(reader, b"after")
    finally:
        await reader.stop()
    with pytest.raises(KafkaError):
        await read_once(as_app(stack, access), "agora-app-pulse", app_topic("pulse").name)
