"""The app's consumer: a process of its own that reads the app's topic with the app's own credential and notes when it saw what.

Its plan and report go as ``companion`` says. It says ``complete`` when as many records came as are expected, or none came for
long; told to go on, it reads what else stands in the topic, so that a record too many is seen as well.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr

from bench.chain.statistics import percentiles
from contracts.instants import SECOND, from_datetime
from runtime import kafka
from runtime.settings import KafkaSettings
from sharing.cloud_events import OBSERVATION_TYPE, header

PERCENTILES = (50.0, 95.0, 99.0)
QUIET_SECONDS = 60.0
POLL_MS = 200


@dataclass(frozen=True)
class Plan:
    """What to read.

    Attributes:
        bootstrap: Kafka's door for apps, TLS.
        ca_file: PEM of its authority.
        username: the app's SCRAM user.
        password: its password.
        topic: the app's.
        expected: how many different records are to come.
    """

    bootstrap: str
    ca_file: str
    username: str
    password: str
    topic: str
    expected: int


@dataclass
class Heard:
    """What came.

    Attributes:
        ids: of the records, in the order they came first.
        repeats: records whose id had come before.
        last: wall clock at which the last that was new was seen, seconds.
        latency: seconds from publishing to being seen, by percentile.
    """

    ids: list[str] = field(default_factory=list)
    repeats: int = 0
    last: float = 0.0
    latency: dict[str, float] = field(default_factory=dict)


class Ears:
    """Takes records in as an app does: by id, repeats dropped."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._repeats = 0
        self._last = 0

    def __len__(self) -> int:
        """Give how many different records came."""
        return len(self._seconds)

    def take(self, identifier: str, published: int, now: int) -> None:
        """Take a record in.

        Args:
            identifier: of its Observation.
            published: when its message was published, microseconds.
            now: the present, microseconds.
        """
        if identifier in self._seconds:
            self._repeats += 1
            return
        self._seconds[identifier] = (now - published) / SECOND
        self._last = now

    def heard(self) -> Heard:
        """Put together what came."""
        latency = percentiles([(seconds, 1) for seconds in self._seconds.values()], PERCENTILES)
        return Heard(list(self._seconds), self._repeats, self._last / SECOND, latency)


async def follow(reader: AIOKafkaConsumer, place: TopicPartition, ears: Ears, expected: int) -> None:
    """Read until so many different records came, or none came for long."""
    came = time.monotonic()
    while len(ears) < expected and time.monotonic() - came < QUIET_SECONDS:
        if await _take(reader, place, ears):
            came = time.monotonic()


async def read_to_end(reader: AIOKafkaConsumer, place: TopicPartition, ears: Ears) -> None:
    """Read all that stands in the topic now."""
    end = (await reader.end_offsets([place]))[place]
    async with asyncio.timeout(QUIET_SECONDS):
        while await reader.position(place) < end:
            await _take(reader, place, ears)


async def _take(reader: AIOKafkaConsumer, place: TopicPartition, ears: Ears) -> bool:
    """Take in what is there; a message's moment of publishing is its readings' time, which the record tells."""
    records = (await reader.getmany(timeout_ms=POLL_MS)).get(place, [])
    now = time.time_ns() // 1000
    for record in records:
        if header(record.headers, "ce_type") == OBSERVATION_TYPE:
            published = from_datetime(datetime.fromisoformat(header(record.headers, "ce_time")))
            ears.take(header(record.headers, "ce_id"), published, now)
    return bool(records)


async def _main() -> None:
    plan = Plan(**json.loads(sys.stdin.readline()))
    settings = KafkaSettings(
        bootstrap=plan.bootstrap, username=plan.username, password=SecretStr(plan.password), security="SASL_SSL",
        ca_file=plan.ca_file,
    )  # fmt: skip
    reader, place, ears = kafka.consumer(settings, None), TopicPartition(plan.topic, 0), Ears()
    await reader.start()
    try:
        reader.assign([place])
        await reader.seek_to_end(place)
        await reader.position(place)
        _say("ready")
        await follow(reader, place, ears, plan.expected)
        _say("complete")
        await asyncio.to_thread(sys.stdin.readline)
        await read_to_end(reader, place, ears)
        _say(json.dumps(asdict(ears.heard())))
    finally:
        await reader.stop()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main())
