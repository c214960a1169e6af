"""What the storage tests share: a clinic in the registry, records as the normaliser makes them, and the database looked at."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from msgspec.structs import replace as replace_struct
from prometheus_client import REGISTRY

from cli.operator import settings
from contracts import frames, ids
from contracts.frames import Coordinates, Origin, RawFrame, RawMessage
from contracts.instants import hour_of
from contracts.observation import Observation, Quality, VitalsFrame
from contracts.outcomes import DeviceOutcome, RawOutcome, decode_outcome
from contracts.topics import LEDGER, PARTITIONS, RAW, VITALS
from deploy.local.stack import Stack
from runtime import clock, kafka
from runtime.settings import DatabaseSettings, KafkaSettings
from storage.settings import StoreSettings
from storage.writer import Writer

HEART_RATE = "8867-4"
SPO2 = "59408-5"
UNITS = {HEART_RATE: "/min", SPO2: "%"}
_numbers = itertools.count(1)
_far_partitions = itertools.count(1000)
"""Partitions that Kafka does not have: for tests that hand records to the writer themselves."""


@dataclass(frozen=True)
class Record:
    """A record as aiokafka would give it."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int = field(default_factory=lambda: clock.now() // 1000)


@dataclass(frozen=True)
class Reading:
    """A reading as a test states it."""

    value: float
    device_time: int
    sequence: int = 0
    vital: str = HEART_RATE
    site: str = ""


@dataclass(frozen=True)
class Message:
    """A message of one device."""

    device: str
    readings: Sequence[Reading]
    subject: str = ""


@dataclass(frozen=True)
class Clinic:
    """An organisation of its own, so that tests do not see each other's rows."""

    name: str
    owner: DatabaseSettings

    def enrol(self, *devices: str) -> None:
        """Put devices, and a subject of the same name for each, into the registry."""
        with connected(self.owner) as connection:
            connection.execute(
                "INSERT INTO organisations (name, display) VALUES (%s, %s) ON CONFLICT DO NOTHING", (self.name,) * 2
            )
            for device in devices:
                connection.execute(
                    "INSERT INTO subjects (name, org, identifier_system, identifier_value) VALUES (%s, %s, 'urn:test', %s)",
                    (self.subject(device), self.name, device),
                )
                connection.execute(
                    "INSERT INTO devices (org, name, model, broker_password_hash) VALUES (%s, %s, 'test', '')",
                    (self.name, device),
                )

    def subject(self, device: str) -> str:
        return f"{self.name}-{device}"

    def rows(self) -> list[tuple[Any, ...]]:
        """Read what is stored of the clinic's devices: device, vital, site, sequence, value."""
        return query(
            self.owner,
            "SELECT split_part(device, '/', 2), code, site, sequence, value FROM readings WHERE device LIKE %s"
            " ORDER BY 1, 2, 3, 4, device_time",
            f"{self.name}/%",
        )

    def count(self) -> int:
        return int(query(self.owner, "SELECT count(*) FROM readings WHERE device LIKE %s", f"{self.name}/%")[0][0])

    def counts(self) -> dict[str, int]:
        """Read the clinic's sums in the ledger."""
        names = (
            "received", "replayed", "accepted", "duplicate_normalise", "quarantined_normalise", "readings", "stored",
            "duplicate_store", "quarantined_store", "readings_stored", "readings_duplicate", "readings_quarantined",
        )  # fmt: skip
        columns = ", ".join(f"coalesce(sum({name}), 0)::int" for name in names)
        row = query(self.owner, f"SELECT {columns} FROM ledger_devices WHERE org = %s", self.name)[0]  # noqa: S608
        return {name: number for name, number in zip(names, row, strict=True) if number}

    def quarantine(self) -> list[tuple[Any, ...]]:
        return query(
            self.owner,
            "SELECT code, device, messages, raw_source, payload FROM quarantine WHERE org = %s AND stage = 'store'"
            " ORDER BY quarantine_id",
            self.name,
        )


def new_clinic(stack: Stack, *devices: str) -> Clinic:
    """Make a clinic with devices."""
    clinic = Clinic(f"clinic-{next(_numbers)}-{time.time_ns() % 10**9}", database(stack, "owner"))
    clinic.enrol(*devices)
    return clinic


def database(stack: Stack, role: str) -> DatabaseSettings:
    return settings(DatabaseSettings, stack.settings(role))


def broker(stack: Stack, user: str) -> KafkaSettings:
    return settings(KafkaSettings, stack.settings(user))


@contextmanager
def connected(owner: DatabaseSettings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(owner.conninfo()) as connection:
        yield connection


def query(owner: DatabaseSettings, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    with connected(owner) as connection:
        return connection.execute(statement, parameters).fetchall()


def derive(
    clinic: Clinic, raw: Coordinates, messages: Sequence[Message], partitions: int = PARTITIONS, received_at: int | None = None
) -> tuple[dict[int, Record], Record]:
    """Make what the normaliser makes of a raw record: vitals records by partition, and the ledger record."""
    now = clock.now() if received_at is None else received_at
    by_partition: dict[int, list[Observation]] = {}
    devices: dict[str, list[int]] = {}
    for index, message in enumerate(messages):
        subject = message.subject or clinic.subject(message.device)
        counts = devices.setdefault(message.device, [0, 0])
        counts[0] += 1
        counts[1] += len(message.readings)
        partition = ids.partition_of(subject, partitions)
        by_partition.setdefault(partition, []).extend(_observe(clinic.name, subject, index, message, now))
    vitals = {
        partition: Record(
            VITALS.name,
            partition,
            0,
            frames.encode(VitalsFrame(made)),
            frames.vitals_headers([Origin(raw.partition, raw.offset, len(made), len({one.message for one in made}))]),
        )
        for partition, made in by_partition.items()
    }
    outcomes = [DeviceOutcome(clinic.name, device, sent, 0, sent, 0, 0, read) for device, (sent, read) in devices.items()]
    outcome = RawOutcome(raw.partition, raw.offset, hour_of(now), outcomes)
    return vitals, Record(LEDGER.name, raw.partition, 0, frames.encode(outcome), frames.headers(len(messages), raw))


def _observe(org: str, subject: str, index: int, message: Message, received_at: int) -> Iterator[Observation]:
    for one in message.readings:
        identity = ids.observation_id(org, message.device, one.vital, one.site, one.device_time, one.sequence)
        yield Observation(
            identity, org, message.device, subject, one.vital, one.site, one.value, UNITS.get(one.vital, "1"), one.device_time,
            one.device_time, received_at, one.sequence, int(Quality.SEQUENCED), index,
        )  # fmt: skip


class Bench:
    """Hands records to a writer as Kafka would, on partitions that only this test has."""

    def __init__(self, stack: Stack, wait: float = 0.0) -> None:
        self.raw = next(_far_partitions)
        self.vitals = self.raw
        self._offsets: dict[tuple[str, int], int] = {}
        self._store = StoreSettings(registry_wait_seconds=wait)
        self._database = database(stack, "store")

    @asynccontextmanager
    async def writer(self, **settings: float) -> Any:
        writer = Writer(self._database, self._store.model_copy(update=settings), clock.now)
        await writer.load([(VITALS.name, self.vitals), (LEDGER.name, self.raw), *self._offsets])
        try:
            yield writer
        finally:
            await writer.close()

    def place(self, *records: Record) -> list[Record]:
        """Give records the next offsets of their partitions."""
        placed = []
        for record in records:
            key = record.topic, record.partition
            offset = self._offsets.get(key, 0)
            self._offsets[key] = offset + 1
            placed.append(replace(record, offset=offset))
        return placed

    def frame(self, clinic: Clinic, *messages: Message) -> list[Record]:
        """Make and place the records of one raw record."""
        raw = Coordinates(RAW.name, self.raw, self._offsets.get((LEDGER.name, self.raw), 0))
        vitals, outcome = derive(clinic, raw, messages, partitions=1)
        return self.place(*(replace(record, partition=self.vitals) for record in vitals.values()), outcome)


class Feeder:
    """Publishes what bridge and normaliser would, to real Kafka."""

    def __init__(self, stack: Stack, clinic: Clinic) -> None:
        self._clinic = clinic
        self._settings = broker(stack, "operator")
        self.messages = 0
        self.readings = 0

    async def __aenter__(self) -> Feeder:
        self._producer = kafka.producer(self._settings)
        await self._producer.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._producer.stop()

    async def publish(self, *messages: Message, partition: int = 0) -> Coordinates:
        """Publish a raw record and what is made of it."""
        raw = await self.publish_raw(messages, partition)
        await self.publish_derived(raw, messages)
        return raw

    async def publish_raw(self, messages: Sequence[Message], partition: int = 0) -> Coordinates:
        frame = RawFrame(
            [RawMessage(f"agora/v1/{self._clinic.name}/{one.device}/up/vitals", b"{}", clock.now()) for one in messages]
        )
        found = await self.send(Record(RAW.name, partition, 0, frames.encode(frame), frames.headers(len(messages))))
        self.messages += len(messages)
        self.readings += sum(len(one.readings) for one in messages)
        return Coordinates(RAW.name, partition, found)

    async def publish_derived(self, raw: Coordinates, messages: Sequence[Message]) -> None:
        vitals, outcome = derive(self._clinic, raw, messages)
        for record in (*vitals.values(), outcome):
            await self.send(record)

    async def publish_replays(self, messages: Sequence[Message], partition: int = 0) -> None:
        """Publish messages as replays, which are not received again."""
        raw = await self.publish_raw(messages, partition)
        vitals, outcome = derive(self._clinic, raw, messages)
        found = decode_outcome(outcome.value or b"")
        devices = [replace_struct(one, received=0, replayed=one.received) for one in found.devices]
        for record in (*vitals.values(), replace(outcome, value=frames.encode(replace_struct(found, devices=devices)))):
            await self.send(record)

    async def send(self, record: Record) -> int:
        headers = [(name, value) for name, value in record.headers]
        sent = await self._producer.send_and_wait(record.topic, record.value, partition=record.partition, headers=headers)
        return int(sent.offset)

    async def load(self, devices: Sequence[str], seconds: float, per_second: int = 40, frame: int = 20) -> None:
        """Publish frames of two-reading messages for some time, with new readings only."""
        began, number = time.monotonic(), 0
        base = clock.now()
        while (gone := time.monotonic() - began) < seconds:
            messages = []
            for place in range(frame):
                number += 1
                readings = [Reading(70.0, base + number * 1000, number), Reading(97.0, base + number * 1000, number, SPO2)]
                messages.append(Message(devices[(number + place) % len(devices)], readings))
            await self.publish(*messages, partition=number % PARTITIONS)
            ahead = number / (per_second * frame) - gone
            if ahead > 0:
                await asyncio.sleep(ahead)


def counted(counter: str) -> float:
    """Give a counter of this process."""
    return REGISTRY.get_sample_value(counter) or 0.0


def numbers(counts: Mapping[str, int], *names: str) -> tuple[int, ...]:
    return tuple(counts.get(name, 0) for name in names)


def one(value: float, at: int, device: str = "a", sequence: int = 0, vital: str = HEART_RATE, site: str = "") -> Message:
    """Make a message of one reading."""
    return Message(device, [Reading(value, at, sequence, vital, site)])


def in_turn(*groups: Iterable[Record]) -> list[Record]:
    return [record for group in groups for record in group]
