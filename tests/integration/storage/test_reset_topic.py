"""The database stands where Kafka's topic has not come to, as after a Kafka that lost its data or is an older copy."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from aiokafka import TopicPartition

from contracts.topics import QUARANTINE, VITALS, Topic
from deploy.local.stack import Stack
from runtime import clock, kafka
from storage.settings import StoreSettings
from storage.store import Store, TopicReset
from tests.support.storing import Feeder, broker, connected, database, new_clinic, one, query

FAR = 1_000_000_000
Move = Callable[[Topic, dict[int, int]], None]


@pytest.fixture
def move(stack: Stack) -> Iterator[Move]:
    """Set positions of the database, until the test is over."""
    owner = database(stack, "owner")
    before: dict[tuple[str, int], int] = {}

    def enter(positions: dict[tuple[str, int], int]) -> None:
        with connected(owner) as connection:
            for (topic, partition), following in positions.items():
                connection.execute(
                    "INSERT INTO offsets (topic, partition, next) VALUES (%s, %s, %s)"
                    " ON CONFLICT (topic, partition) DO UPDATE SET next = excluded.next",
                    (topic, partition, following),
                )

    def moved(topic: Topic, positions: dict[int, int]) -> None:
        for number in positions:
            found = query(owner, "SELECT next FROM offsets WHERE (topic, partition) = (%s, %s)", topic.name, number)
            before[topic.name, number] = found[0][0] if found else 0
        enter({(topic.name, number): following for number, following in positions.items()})

    yield moved
    enter(before)


async def run(stack: Stack) -> None:
    store = Store(broker(stack, "store"), database(stack, "store"), StoreSettings())
    await asyncio.wait_for(store.run(), 30)


async def ends_of(stack: Stack, topic: Topic) -> dict[int, int]:
    async with kafka.consumer(broker(stack, "store"), None) as reader:
        ends = await reader.end_offsets([TopicPartition(topic.name, number) for number in range(topic.partitions)])
        return {place.partition: end for place, end in ends.items()}


async def test_a_store_that_is_ahead_of_kafka_says_so_and_passes_nothing_over_in_silence(stack: Stack, move: Move) -> None:
    move(VITALS, dict.fromkeys(range(VITALS.partitions), FAR))
    clinic = new_clinic(stack, "a")
    async with Feeder(stack, clinic) as feeder:
        await feeder.publish(one(70, clock.now()))
        with pytest.raises(TopicReset):
            await run(stack)


@pytest.mark.parametrize("topic", [VITALS, QUARANTINE])
async def test_a_store_that_is_a_little_ahead_says_so_before_as_much_was_written_again(
    stack: Stack, move: Move, topic: Topic
) -> None:
    move(topic, {number: end + 3 for number, end in (await ends_of(stack, topic)).items()})
    with pytest.raises(TopicReset, match=topic.name):
        await run(stack)
