"""The worker is killed, joined by another, and cut off from Kafka; nothing is lost, and what comes twice has the same ids."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from itertools import count

import pytest

from contracts.frames import Coordinates
from contracts.instants import SECOND
from contracts.topics import LEDGER, PARTITIONS, VITALS
from deploy.local.stack import Stack
from runtime import clock
from tests.support.normalising import World, by_source, device, message, payload, raw_partition

DEVICES = [f"killed-{number}" for number in range(24)]
ROUND_SECONDS = 0.08
"""Between two rounds over all partitions: some hundred records a second, which a worker on a busy machine keeps up with."""


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    async with World(stack) as made:
        await made.enrol(*(device(name, f"subject-{name}") for name in DEVICES))
        await made.mark(VITALS, LEDGER)
        yield made
        for name in ("streams", "streams-2"):
            if name in stack.state().processes:
                stack.stop_process(name)


class Load:
    """Sends frames until told to stop, and remembers where each stands."""

    def __init__(self, world: World) -> None:
        self.sent: list[Coordinates] = []
        self._world = world
        self._start = clock.now()
        self._numbers = count(1)
        self._names: dict[int, list[str]] = {}
        for name in DEVICES:
            self._names.setdefault(raw_partition(name), []).append(name)
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            for partition in self._names:
                await self._one(partition)
            await asyncio.sleep(ROUND_SECONDS)

    async def _one(self, partition: int) -> Coordinates:
        sequence = next(self._numbers)
        at = self._start + sequence * SECOND // 100
        frame = [message(name, payload(at, sequence, 60 + sequence % 40)) for name in self._names[partition]]
        sent = await self._world.send(partition, frame)
        self.sent.append(sent)
        return sent

    async def seen(self) -> None:
        """Wait until the worker has done a record that is sent now."""
        await self._world.outcomes([await self._one(raw_partition(DEVICES[0]))], 60)

    async def stop(self) -> list[Coordinates]:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return self.sent


async def all_accounted(world: World, sent: list[Coordinates]) -> Counter[tuple[int, int]]:
    """Check that every raw record has its ledger row and its observations, and that repeats are equal; count the repeats."""
    rows = await world.outcomes(sent, 90)
    devices = Counter(raw_partition(name) for name in DEVICES)
    for one in sent:
        for row in rows[one.partition, one.offset]:
            assert sum(counts.received for counts in row.devices) == devices[one.partition]
            assert sum(counts.accepted for counts in row.devices) == devices[one.partition]
    seen: dict[tuple[Coordinates, int], set[bytes]] = {}
    wanted = set(sent)

    def complete(records: list[object]) -> bool:
        seen.clear()
        for record in records:
            for source, own in by_source(record):
                key, ids = (source, record.partition), {one.id for one in own}  # type: ignore[attr-defined]
                assert seen.setdefault(key, ids) == ids, "a second pass gave other ids"
        return wanted <= {source for source, _ in seen}

    await world.read(VITALS, complete, 90)
    assert sum(len(ids) for (source, _), ids in seen.items() if source in wanted) == sum(devices[one.partition] for one in sent)
    return Counter({key: len(found) for key, found in rows.items() if len(found) > 1})


@pytest.mark.timeout(240)
async def test_a_worker_killed_under_load_leaves_no_hole_and_gives_the_same_ids_again(stack: Stack, world: World) -> None:
    stack.start_process("streams", wait=True)
    load = Load(world)
    for _ in range(3):
        await load.seen()
        stack.kill("streams", signal.SIGKILL)
        stack.stop_process("streams")
        stack.start_process("streams")
    await load.seen()
    await all_accounted(world, await load.stop())


@pytest.mark.timeout(240)
async def test_a_second_worker_joins_and_leaves_and_every_record_is_accounted(stack: Stack, world: World) -> None:
    stack.start_process("streams", wait=True)
    load = Load(world)
    await load.seen()
    other = {
        "AGORA_METRICS_PORT": str(stack.instance.ports.base + 61),
        "AGORA_STREAMS_DATA_FOLDER": str(stack.instance.data / "streams-2"),
    }
    stack.start_process("streams", other, alias="streams-2")
    log = stack.instance.logs / "streams-2.log"
    async with asyncio.timeout(60):
        while True:
            await asyncio.sleep(0.1)
            if log.exists() and "partitions_assigned" in log.read_text():
                break
    await load.seen()
    assert stack.stop_process("streams-2"), "it had to be killed"
    await load.seen()
    await all_accounted(world, await load.stop())


@pytest.mark.timeout(240)
async def test_kafka_that_goes_away_is_waited_for(stack: Stack, world: World) -> None:
    stack.start_process("streams", wait=True)
    load = Load(world)
    await load.seen()
    pid = stack.pid("streams")
    stack.stop_process("kafka")
    await asyncio.sleep(8)
    stack.start_server("kafka")
    await load.seen()
    await all_accounted(world, await load.stop())
    assert stack.pid("streams") == pid, "the worker did not live through it"
    assert len(load.sent) > PARTITIONS
