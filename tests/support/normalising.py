"""What the tests of the streams room share: devices in the registry, raw frames, and reading back what the worker wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from contracts.frames import Coordinates, RawFrame, RawMessage, encode, headers, origins_of
from contracts.ids import device_key, partition_of
from contracts.instants import to_text
from contracts.mqtt import up_topic
from contracts.observation import Observation, decode_vitals
from contracts.outcomes import RawOutcome, decode_outcome
from contracts.registry import HEARTBEAT_KEY, DeviceRecord, Heartbeat, Loan
from contracts.topics import LEDGER, PARTITIONS, RAW, REGISTRY_DEVICES, Topic
from deploy.local.stack import Stack
from runtime import clock, kafka
from runtime.settings import KafkaSettings

ORG = "normalising"


def device(name: str, subject: str, *, start: int = 0, version: int = 1) -> DeviceRecord:
    """Make a device that one subject has had since ``start``."""
    return DeviceRecord(org=ORG, device=name, model="agora-generic", loans=(Loan(start=start, subject=subject),), version=version)


def payload(time: int, sequence: int, value: float = 72.0) -> bytes:
    """Write a message of one heart rate."""
    return (
        f'{{"message_id":"m-{sequence}","sequence":{sequence},"time":"{to_text(time)}",'
        f'"code":"8867-4","value":{value},"unit":"/min"}}'
    ).encode()


def message(name: str, body: bytes, at: int | None = None) -> RawMessage:
    """Make a raw message as the bridge would."""
    return RawMessage(up_topic(ORG, name), body, clock.now() if at is None else at)


def raw_partition(name: str) -> int:
    """Give the partition of a device's raw messages."""
    return partition_of(device_key(ORG, name), PARTITIONS)


def by_source(record: Any) -> list[tuple[Coordinates, list[Observation]]]:
    """Take a vitals record apart by the raw records it was made from."""
    observations, found = decode_vitals(record.value).observations, []
    for origin in origins_of(record.headers):
        own, observations = observations[: origin.readings], observations[origin.readings :]
        found.append((Coordinates(RAW.name, origin.partition, origin.offset), own))
    assert not observations
    return found


class World:
    """Writes what bridge and keeper write, and reads what the worker wrote since the world began."""

    def __init__(self, stack: Stack) -> None:
        env = stack.env("operator")
        self.settings = KafkaSettings(
            bootstrap=env["AGORA_KAFKA_BOOTSTRAP"],
            username=env["AGORA_KAFKA_USERNAME"],
            password=env["AGORA_KAFKA_PASSWORD"],
        )
        self._producer: AIOKafkaProducer = kafka.producer(self.settings)
        self._exits = AsyncExitStack()
        self._marks: dict[TopicPartition, int] = {}
        self._version = clock.now()

    async def __aenter__(self) -> Self:
        await self._producer.start()
        self._exits.push_async_callback(self._producer.stop)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._exits.aclose()

    async def enrol(self, *records: DeviceRecord) -> None:
        """Publish devices as the keeper does."""
        for record in records:
            self._version += 1
            body = record.model_copy(update={"version": self._version}).model_dump_json().encode()
            key = device_key(record.org, record.device).encode()
            await self._producer.send_and_wait(REGISTRY_DEVICES.name, body, key=key, partition=0)
        beat = Heartbeat(as_of=clock.now()).model_dump_json().encode()
        await self._producer.send_and_wait(REGISTRY_DEVICES.name, beat, key=HEARTBEAT_KEY.encode(), partition=0)

    async def mark(self, *topics: Topic) -> None:
        """Read only what comes from now on."""
        reader = await self._reader()
        partitions = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
        self._marks.update(await reader.end_offsets(partitions))
        await reader.stop()

    async def send(self, partition: int, messages: Sequence[RawMessage]) -> Coordinates:
        """Write one raw frame."""
        return await self.send_bytes(partition, encode(RawFrame(list(messages))), len(messages))

    async def send_bytes(self, partition: int, value: bytes, count: int = 1) -> Coordinates:
        """Write one raw record of any bytes."""
        sent = await self._producer.send_and_wait(RAW.name, value, partition=partition, headers=headers(count))
        return Coordinates(RAW.name, partition, sent.offset)

    async def read(self, topic: Topic, enough: Callable[[list[Any]], bool], seconds: float = 45) -> list[Any]:
        """Read a topic's records since the mark until ``enough`` of them are there."""
        reader = await self._reader()
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        reader.assign(partitions)
        for partition in partitions:
            reader.seek(partition, self._marks.get(partition, 0))
        found: list[Any] = []
        try:
            async with asyncio.timeout(seconds):
                while not enough(found):
                    for batch in (await reader.getmany(timeout_ms=200)).values():
                        found += batch
        finally:
            await reader.stop()
        return found

    async def outcomes(self, coordinates: Sequence[Coordinates], seconds: float = 45) -> dict[tuple[int, int], list[RawOutcome]]:
        """Wait until each of these raw records has its ledger row; gives all rows by raw partition and offset."""
        wanted = {(one.partition, one.offset) for one in coordinates}
        rows: dict[tuple[int, int], list[RawOutcome]] = {}

        def complete(records: list[Any]) -> bool:
            rows.clear()
            for record in records:
                row = decode_outcome(record.value)
                rows.setdefault((row.partition, row.offset), []).append(row)
            return wanted <= rows.keys()

        await self.read(LEDGER, complete, seconds)
        return rows

    async def _reader(self) -> AIOKafkaConsumer:
        reader = kafka.consumer(self.settings, None)
        await reader.start()
        return reader
