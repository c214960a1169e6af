"""Kafka refuses an output for good: nothing may then count as written, and the record it was made from comes again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from contracts.frames import Coordinates
from contracts.instants import SECOND
from contracts.topics import LEDGER, RAW, VITALS, Principal
from deploy.local.stack import Stack
from runtime import clock, kafka
from streams.outputs import Output, Outputs
from tests.support.failing_worker import failing_worker
from tests.support.forbidding import forbidden
from tests.support.normalising import World, by_source, device, message, payload, raw_partition

NAME, WELL, LOSING = "refused-1", "counting-1", "losing-1"


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    async with World(stack) as made:
        await made.enrol(device(NAME, f"subject-{NAME}"))
        await made.mark(VITALS, LEDGER)
        yield made
        stack.stop_process("streams")


async def test_after_a_fatal_idempotence_error_nothing_is_confirmed_and_the_process_is_told_to_stop(world: World) -> None:
    failures: list[BaseException] = []
    confirmed: list[int] = []
    outputs = Outputs(world.settings, failures.append)
    one, partition = Output(VITALS.name, 0, None, b"no frame", []), TopicPartition(VITALS.name, 0)
    await outputs.start()
    try:
        await outputs.write([one])
        # Sequence numbers are lost: Kafka itself refuses every later batch of this producer.
        assert outputs._producer is not None
        outputs._producer._txn_manager._sequence_numbers[partition] += 3
        for number in range(3):
            await outputs.send([one], lambda number=number: confirmed.append(number))  # type: ignore[misc]
            async with asyncio.timeout(20):
                while len(failures) <= number:  # noqa: ASYNC110 - a callback of the producer sets no event here
                    await asyncio.sleep(0.02)
        assert confirmed == []
        assert all(isinstance(error, KafkaError) for error in failures)
    finally:
        await outputs.stop()


def losing_count(stack: Stack, name: str) -> AbstractAsyncContextManager[None]:
    """Run a worker that loses count of its sequence numbers over what names somebody, until it has ended."""
    module = "tests.support.broken_sequence", "streams", name
    return failing_worker(stack, "losing-count", *module, word="OutOfOrderSequence")


async def committed(world: World, partition: int) -> int:
    reader = kafka.consumer(world.settings, "agora-streams")
    await reader.start()
    try:
        one = TopicPartition(RAW.name, partition)
        reader.assign([one])
        return await reader.committed(one) or 0
    finally:
        await reader.stop()


async def send(world: World, sequence: int) -> Coordinates:
    at = clock.now() + sequence * SECOND
    return await world.send(raw_partition(NAME), [message(NAME, payload(at, sequence))])


@pytest.mark.timeout(240)
async def test_a_worker_whose_producer_lost_its_sequence_numbers_ends_and_the_next_one_loses_nothing(
    stack: Stack, world: World
) -> None:
    partition = raw_partition(LOSING)
    await world.enrol(device(WELL, f"subject-{WELL}"), device(LOSING, f"subject-{LOSING}"))

    async def sent(name: str, sequence: int) -> Coordinates:
        return await world.send(partition, [message(name, payload(clock.now() + sequence * SECOND, sequence))])

    async with losing_count(stack, LOSING):
        await world.outcomes([await sent(WELL, 1)], 60)
        waiting = [await sent(LOSING, 1), *[await sent(WELL, number) for number in range(2, 7)]]
    assert await committed(world, partition) <= waiting[0].offset
    stack.start_process("streams")
    rows = await world.outcomes(waiting, 60)
    assert all(sum(counts.accepted for counts in row.devices) == 1 for found in rows.values() for row in found)
    wanted = {(one.partition, one.offset) for one in waiting}
    await world.read(VITALS, lambda records: wanted <= {(at.partition, at.offset) for one in records for at, _ in by_source(one)})


@pytest.mark.timeout(180)
async def test_a_record_whose_agent_failed_is_not_committed_and_comes_again(stack: Stack, world: World) -> None:
    stack.start_process("streams", wait=True)
    await world.outcomes([await send(world, 1)], 60)
    with forbidden(stack, Principal.STREAMS, LEDGER):
        failed = [await send(world, number) for number in range(2, 6)]
        async with asyncio.timeout(60):
            while stack.state().processes["streams"].alive:  # noqa: ASYNC110 - another process's end sets no event here
                await asyncio.sleep(0.05)
        assert await committed(world, raw_partition(NAME)) <= failed[0].offset
    stack.stop_process("streams")
    stack.start_process("streams")
    rows = await world.outcomes(failed, 60)
    assert all(sum(counts.accepted for counts in row.devices) == 1 for found in rows.values() for row in found)
