import asyncio
from collections.abc import Iterator

import pytest

from contracts.topics import VITALS
from deploy.local.stack import Stack
from runtime import clock
from storage.settings import StoreSettings
from storage.store import Store, TopicReset
from tests.support.storing import Feeder, broker, connected, database, new_clinic, one, query


@pytest.fixture
def far_ahead(stack: Stack) -> Iterator[Stack]:
    """Let the database stand where Kafka's topic has not come to, as after a Kafka that lost its data."""
    owner = database(stack, "owner")
    places = [(VITALS.name, number) for number in range(VITALS.partitions)]
    before = {place: query(owner, "SELECT next FROM offsets WHERE (topic, partition) = (%s, %s)", *place) for place in places}

    def move(positions: dict[tuple[str, int], int]) -> None:
        with connected(owner) as connection:
            for (topic, partition), following in positions.items():
                connection.execute(
                    "INSERT INTO offsets (topic, partition, next) VALUES (%s, %s, %s)"
                    " ON CONFLICT (topic, partition) DO UPDATE SET next = excluded.next",
                    (topic, partition, following),
                )

    move(dict.fromkeys(places, 1_000_000_000))
    yield stack
    move({place: found[0][0] if found else 0 for place, found in before.items()})


async def test_a_store_that_is_ahead_of_kafka_says_so_and_passes_nothing_over_in_silence(far_ahead: Stack) -> None:
    clinic = new_clinic(far_ahead, "a")
    async with Feeder(far_ahead, clinic) as feeder:
        await feeder.publish(one(70, clock.now()))
        store = Store(broker(far_ahead, "store"), database(far_ahead, "store"), StoreSettings())
        with pytest.raises(TopicReset):
            await asyncio.wait_for(store.run(), 30)
