"""The running platform as the tests of sharing use it: people, apps, consents, readings in, records out."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from pydantic import SecretStr

from contracts.frames import Origin, encode, vitals_headers
from contracts.ids import partition_of
from contracts.observation import Observation, VitalsFrame
from contracts.registry import ConsentRecord
from contracts.topics import PARTITIONS, REGISTRY_APPS, REGISTRY_CONSENTS, REGISTRY_DEVICES, VITALS
from deploy.local.stack import Stack
from registry import devices, loans
from registry.organisations import add_organisation, add_subject
from runtime import kafka
from runtime.settings import DatabaseSettings, KafkaSettings
from sharing import apps, cloud_events, consents
from sharing.kafka_users import KafkaUsers
from sharing.pseudonyms import AppPseudonyms, master_of
from tests.sharing_readings import ORG, device_of

Subject = str


@dataclass(frozen=True)
class Received:
    """A record of an app's topic."""

    offset: int
    appended_at_ms: int
    kind: str
    identifier: str
    consent: str
    body: dict[str, Any]


def kafka_settings(env: Mapping[str, str]) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=env["AGORA_KAFKA_BOOTSTRAP"],
        username=env["AGORA_KAFKA_USERNAME"],
        password=SecretStr(env["AGORA_KAFKA_PASSWORD"]),
        security="SASL_PLAINTEXT",
        ca_file="",
    )


def database_settings(env: Mapping[str, str]) -> DatabaseSettings:
    return DatabaseSettings(
        host=env["AGORA_DATABASE_HOST"],
        port=int(env["AGORA_DATABASE_PORT"]),
        name=env["AGORA_DATABASE_NAME"],
        user=env["AGORA_DATABASE_USER"],
        password=SecretStr(env["AGORA_DATABASE_PASSWORD"]),
    )


class Platform:
    """One organisation of its own in the shared stack."""

    def __init__(self, stack: Stack, connection: psycopg.Connection[Any]) -> None:
        self.stack = stack
        self.connection = connection
        self.operator = stack.settings("operator")
        self.users = KafkaUsers(kafka_settings(self.operator))
        self.mark = uuid4().hex[:8]
        self.org = f"org-{self.mark}"
        self._next = 0
        add_organisation(connection, self.org, "An organisation of a test")

    def subject(self, name: str) -> Subject:
        subject = f"{name}-{self.mark}"
        add_subject(self.connection, subject, self.org, "urn:oid:1.2.3", subject)
        self.lend(subject)
        return subject

    def lend(self, subject: Subject) -> None:
        """Give a subject the device that ``reading`` names, since ever."""
        self.connection.execute(
            "INSERT INTO organisations (name, display) VALUES (%s, 'Of readings') ON CONFLICT DO NOTHING", [ORG]
        )
        devices.enrol(self.connection, ORG, device_of(subject), "agora-generic")
        loans.lend(self.connection, ORG, device_of(subject), subject, 1)

    def app(self, name: str) -> apps.Access:
        access = apps.add(self.connection, self.users, self.org, f"{name}-{self.mark}")
        apps.wait_provisioned(self.connection, access.app)
        return access

    def grant(self, subject: Subject, app: apps.Access, *vitals: str, history_from: int | None = 1, **more: Any) -> ConsentRecord:
        asked = consents.Grant(subject=subject, app=app.app, vitals=vitals, purpose="a test", history_from=history_from, **more)
        return consents.grant(self.connection, asked, by="a test")

    def pseudonyms(self, app: apps.Access) -> AppPseudonyms:
        return AppPseudonyms(master_of(self.operator["AGORA_PSEUDONYM_MASTER"]), app.app)

    def vitals_producer(self) -> AIOKafkaProducer:
        return kafka.producer(kafka_settings(self.stack.settings("streams")), linger_ms=2)

    async def publish(self, producer: AIOKafkaProducer, observations: Sequence[Observation]) -> None:
        """Put the readings of one subject into the vitals topic, as one record."""
        self._next += 1
        record = encode(VitalsFrame(list(observations)))
        await producer.send_and_wait(
            VITALS.name,
            record,
            partition=partition_of(observations[0].subject, PARTITIONS),
            headers=vitals_headers([Origin(0, self._next, len(observations), 1)]),
        )

    async def received(self, app: apps.Access) -> list[Received]:
        """Read an app's topic from its beginning to its present end, as the operator."""
        consumer = kafka.consumer(kafka_settings(self.operator), None)
        await consumer.start()
        try:
            return [_received(record) for record in await _read_all(consumer, app.topic)]
        finally:
            await consumer.stop()

    async def known(self) -> None:
        """Wait until the router knows every change of apps, consents and loans."""
        rows = self.connection.execute(
            "SELECT topic, max(version) FROM outbox WHERE topic = ANY(%s) GROUP BY topic",
            [[REGISTRY_APPS.name, REGISTRY_CONSENTS.name, REGISTRY_DEVICES.name]],
        ).fetchall()

        def learned() -> bool:
            told = self.stack.metrics("router") or ""
            return all(metric(told, f'agora_sharing_known_version{{topic="{topic}"}}') >= version for topic, version in rows)

        await eventually(learned)

    async def routed(self, seconds: float = 30.0) -> None:
        """Wait until the router has committed everything that stands in the vitals topic now."""
        watcher = kafka.consumer(kafka_settings(self.operator), "agora-router")
        await watcher.start()
        try:
            partitions = [TopicPartition(VITALS.name, number) for number in range(PARTITIONS)]
            ends = await watcher.end_offsets(partitions)
            async with asyncio.timeout(seconds):
                while not await _committed(watcher, ends):  # noqa: ASYNC110 - another process's progress sets no event here
                    await asyncio.sleep(0.05)
        finally:
            await watcher.stop()

    def app_consumer(self, reader: apps.Access, group: str | None = None) -> AIOKafkaConsumer:
        """Make a consumer with an app's own credential, through the door for apps."""
        return AIOKafkaConsumer(
            bootstrap_servers=self.operator["AGORA_KAFKA_APPS_BOOTSTRAP"],
            security_protocol="SASL_SSL",
            ssl_context=ssl.create_default_context(cafile=self.operator["AGORA_CA_FILE"]),
            sasl_mechanism="SCRAM-SHA-512",
            sasl_plain_username=reader.kafka_user,
            sasl_plain_password=reader.kafka_password,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )

    def log(self, **conditions: object) -> list[tuple[Any, ...]]:
        """Read (outcome, reason, subject, vitals, readings) of an app's entries in the access log, in their order."""
        return self.connection.execute(
            "SELECT outcome, reason, subject, vitals, readings FROM access_log WHERE app = %(app)s ORDER BY access_id", conditions
        ).fetchall()


async def _committed(watcher: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    for partition, end in ends.items():
        if end and (await watcher.committed(partition) or 0) < end:
            return False
    return True


async def _read_all(consumer: AIOKafkaConsumer, topic: str) -> list[Any]:
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    end = (await consumer.end_offsets([partition]))[partition]
    found: list[Any] = []
    async with asyncio.timeout(30):
        while await consumer.position(partition) < end:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                found += batch
    return found


def _received(record: Any) -> Received:
    assert record.timestamp_type == 1, "an app's topic is stamped by the broker"
    return Received(
        record.offset,
        record.timestamp,
        cloud_events.header(record.headers, "ce_type"),
        cloud_events.header(record.headers, "ce_id"),
        cloud_events.header(record.headers, "ce_consentid"),
        orjson.loads(record.value),
    )


def observations_of(received: Iterable[Received]) -> list[Received]:
    """Leave out what is no reading."""
    return [record for record in received if record.kind == cloud_events.OBSERVATION_TYPE]


def metric(told: str, name: str) -> float:
    """Read one metric out of what a process tells, 0 where it is missing."""
    return next((float(line.rsplit(" ", 1)[1]) for line in told.splitlines() if line.startswith(name)), 0.0)


@asynccontextmanager
async def opened(consumer: AIOKafkaConsumer) -> AsyncIterator[AIOKafkaConsumer]:
    """Start a consumer and stop it, also where it could not start."""
    try:
        await consumer.start()
        yield consumer
        await consumer.topics()  # a consumer that is stopped right after its start trips over its own tasks
    finally:
        await consumer.stop()


async def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - another process's progress sets no event here
            await asyncio.sleep(0.05)


def ensure_running(stack: Stack, *names: str) -> None:
    for name in names:
        if not stack.answers(name):
            stack.stop_process(name)  # what an earlier test left dead
            stack.start_process(name)
    for name in names:
        stack.wait_process(name)
