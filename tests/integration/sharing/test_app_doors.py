"""What an app finds locked in Kafka with its own, good credential; and what it finds when that is taken from it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from contracts.topics import RAW, TOPICS, app_topic
from deploy.local.stack import Stack
from runtime import kafka
from sharing import apps
from tests.sharing_platform import Platform, database_settings, ensure_running, kafka_settings, opened

SECONDS = 20.0
INTERNAL = tuple(topic.name for topic in TOPICS)
KAFKAS_OWN = ("__consumer_offsets", "__transaction_state")


@pytest.fixture
def platform(stack: Stack) -> Iterator[Platform]:
    ensure_running(stack, "keeper")
    with psycopg.connect(database_settings(stack.settings("operator")).conninfo(), autocommit=True) as connection:
        yield Platform(stack, connection)


@pytest.fixture
async def filler(platform: Platform) -> AsyncIterator[AIOKafkaProducer]:
    """Writes into apps' topics, as nobody but the router and the operator may."""
    async with kafka.producer(kafka_settings(platform.operator)) as producer:
        yield producer


async def first_of(consumer: AIOKafkaConsumer) -> bytes:
    async with asyncio.timeout(SECONDS):
        return bytes((await consumer.getone()).value)


async def test_an_app_reads_no_topic_of_the_platforms_own(platform: Platform) -> None:
    app = platform.app("curious")
    for topic in (*INTERNAL, *KAFKAS_OWN):
        consumer = platform.app_consumer(app)
        consumer.subscribe([topic])
        with pytest.raises(TopicAuthorizationFailedError):
            async with opened(consumer):
                await first_of(consumer)


async def test_an_app_sees_the_name_of_no_topic_but_its_own(platform: Platform) -> None:
    app, _other = platform.app("curious"), platform.app("hidden")
    async with opened(platform.app_consumer(app)) as consumer:
        assert await consumer.topics() == {app.topic}


@pytest.mark.parametrize("group", ["agora-router", "agora-store", "other", "other.more", "own-and-more"])
async def test_an_app_joins_no_group_of_another_app_or_of_the_platform(platform: Platform, group: str) -> None:
    own, other = platform.app("own"), platform.app("other")
    names = {"other": f"agora-app-{other.app}", "other.more": f"agora-app-{other.app}.1", "own-and-more": f"agora-app-{own.app}1"}
    consumer = platform.app_consumer(own, names.get(group, group))
    consumer.subscribe([own.topic])
    with pytest.raises(GroupAuthorizationFailedError):
        async with opened(consumer):
            await first_of(consumer)


async def test_an_app_writes_nowhere_not_even_on_its_own_topic(platform: Platform) -> None:
    app, other = platform.app("writer"), platform.app("other")
    producer = AIOKafkaProducer(
        bootstrap_servers=platform.operator["AGORA_KAFKA_APPS_BOOTSTRAP"],
        security_protocol="SASL_SSL",
        ssl_context=ssl.create_default_context(cafile=platform.operator["AGORA_CA_FILE"]),
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=app.kafka_user,
        sasl_plain_password=app.kafka_password,
        enable_idempotence=False,
    )
    async with producer:
        for topic in (app.topic, other.topic, *INTERNAL, *KAFKAS_OWN, "agora.nothing.v1"):
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait(topic, b"forged")


async def test_an_app_makes_and_removes_no_topic(platform: Platform) -> None:
    app = platform.app("maker")
    admin = AdminClient(
        {
            "bootstrap.servers": platform.operator["AGORA_KAFKA_APPS_BOOTSTRAP"],
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": platform.operator["AGORA_CA_FILE"],
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": app.kafka_user,
            "sasl.password": app.kafka_password,
            "log_level": 0,
        }
    )
    for topic in (f"{app.topic}.more", app_topic(f"{app.app}-2").name, "agora.of-an-app.v1", "anything"):
        with pytest.raises(KafkaException, match="AUTHORIZATION_FAILED"):
            await asyncio.to_thread(admin.create_topics([NewTopic(topic, 1, 1)])[topic].result, SECONDS)
    for topic in (app.topic, RAW.name):
        with pytest.raises(KafkaException, match="AUTHORIZATION_FAILED"):
            await asyncio.to_thread(admin.delete_topics([topic])[topic].result, SECONDS)


async def test_an_open_consumer_of_a_revoked_app_receives_nothing_that_comes_after(
    platform: Platform, filler: AIOKafkaProducer
) -> None:
    app = platform.app("leaving")
    consumer = platform.app_consumer(app, f"agora-app-{app.app}")
    consumer.subscribe([app.topic])
    async with opened(consumer):
        await filler.send_and_wait(app.topic, b"before")
        assert await first_of(consumer) == b"before"
        await asyncio.to_thread(apps.revoke, platform.connection, platform.users, app.app)
        # A question that Kafka was holding open when the rights went may still be answered; the router appends nothing then.
        with pytest.raises(TopicAuthorizationFailedError):
            await first_of(consumer)
        await filler.send_and_wait(app.topic, b"after")
        with pytest.raises(TopicAuthorizationFailedError):
            await first_of(consumer)
