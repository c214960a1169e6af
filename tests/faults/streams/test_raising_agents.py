"""Judging a record raises: the worker ends, the record is not committed, and a worker that can judge it does."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest
from aiokafka import TopicPartition

from contracts.alerts import Transition
from contracts.frames import Coordinates
from contracts.ids import partition_of
from contracts.instants import SECOND
from contracts.topics import LEDGER, PARTITIONS, RAW, VITALS, Topic
from deploy.local.stack import Stack
from runtime import clock, kafka
from streams.app import APP_ID
from tests.support.failing_worker import failing_worker
from tests.support.flagging import acknowledged, publish, reading, settings, transitions, writer
from tests.support.normalising import World, device, message, payload, raw_partition

WELL, RAISING = "judged-1", "raising-1"
BEHIND = 5
"""Records behind the one that is stumbled over: what goes on past it would commit them, and it with them."""


def raising_worker(stack: Stack, agent: str) -> AbstractAsyncContextManager[None]:
    """Run a worker that stumbles over whatever names ``RAISING``, until it has ended."""
    module = "tests.support.raising_worker", agent, RAISING
    return failing_worker(stack, f"raising-{agent}", *module, word="Planted")


async def committed(stack: Stack, topic: Topic, partition: int) -> int:
    watcher = kafka.consumer(settings(stack, "operator"), APP_ID)
    await watcher.start()
    try:
        return await watcher.committed(TopicPartition(topic.name, partition)) or 0
    finally:
        await watcher.stop()


@pytest.mark.timeout(240)
async def test_a_raw_record_over_which_the_normaliser_raised_is_not_committed_and_comes_again(stack: Stack) -> None:
    partition = raw_partition(RAISING)
    async with World(stack) as world:
        await world.enrol(device(WELL, f"subject-{WELL}"), device(RAISING, f"subject-{RAISING}"))
        await world.mark(LEDGER)

        async def send(name: str, sequence: int) -> Coordinates:
            return await world.send(partition, [message(name, payload(clock.now() + sequence * SECOND, sequence))])

        async with raising_worker(stack, "normalise"):
            await world.outcomes([await send(WELL, 1)], 60)
            waiting = [await send(RAISING, 1), *[await send(WELL, number) for number in range(2, 2 + BEHIND)]]
        assert await committed(stack, RAW, partition) <= waiting[0].offset
        stack.start_process("streams")
        try:
            rows = await world.outcomes(waiting, 60)
        finally:
            stack.stop_process("streams")
    assert all(sum(counts.accepted for counts in row.devices) == 1 for found in rows.values() for row in found)


@pytest.mark.timeout(240)
async def test_a_record_of_vitals_over_which_flagging_raised_is_not_committed_and_comes_again(stack: Stack) -> None:
    partition = partition_of(RAISING, PARTITIONS)
    neighbour = next(name for name in (f"{WELL}-{n}" for n in range(1000)) if partition_of(name, PARTITIONS) == partition)
    async with writer(stack) as producer:
        async with raising_worker(stack, "flag"):
            await publish(producer, reading(neighbour, 0, 36.8))
            await acknowledged(stack, neighbour)
            failed = await publish(producer, reading(RAISING, 0, 40.2))
            for number in range(1, 1 + BEHIND):
                await publish(producer, reading(neighbour, number, 36.8))
        assert await committed(stack, VITALS, partition) <= failed
        stack.start_process("streams")
        try:
            (told,) = await transitions(stack, {RAISING}, 1)
            await acknowledged(stack, neighbour)
        finally:
            stack.stop_process("streams")
    assert told.transition is Transition.RAISED
