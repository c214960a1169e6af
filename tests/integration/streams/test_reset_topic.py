"""The workers' group stands where Kafka's topic has not come to, as after a Kafka that was restored from an older copy."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import TopicPartition

from contracts.topics import RAW
from deploy.local.stack import Stack
from runtime import kafka
from runtime.settings import KafkaSettings
from streams.committed import Committed, TopicReset
from tests.support.flagging import settings

GROUP = "agora-streams"
PLACE = TopicPartition(RAW.name, 0)


@pytest.fixture
async def ahead(stack: Stack) -> AsyncIterator[KafkaSettings]:
    """Commit a position behind the end of a partition, until the test is over."""
    found = settings(stack, "streams")
    async with kafka.consumer(found, GROUP) as reader:
        reader.assign([PLACE])
        before = await reader.committed(PLACE) or 0
        end = (await reader.end_offsets([PLACE]))[PLACE]
        await reader.commit({PLACE: end + 3})
    yield found
    async with kafka.consumer(found, GROUP) as reader:
        reader.assign([PLACE])
        await reader.commit({PLACE: before})


async def test_a_worker_whose_position_lies_behind_the_end_does_not_begin(ahead: KafkaSettings) -> None:
    with pytest.raises(TopicReset, match="ends 3 before"):
        await Committed(ahead, GROUP, RAW).look_for_reset()


async def test_a_worker_whose_position_is_the_end_begins(stack: Stack) -> None:
    await Committed(settings(stack, "streams"), GROUP, RAW).look_for_reset()
