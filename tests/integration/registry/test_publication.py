"""Writing to the registry topics on a real Kafka: what the fence keeps out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import KafkaError
from confluent_kafka.admin import AdminClient

from contracts.registry import RuleRecord
from contracts.topics import REGISTRY_RULES
from deploy.local.kafka import client as kafka_client
from deploy.local.kafka_access import make_topics
from deploy.local.stack import Stack
from registry.publication import Fenced, Line, Publication, TopicReset
from runtime import clock
from runtime.compacted import CompactedView
from tests.support.keeping import kafka_settings, read_topic, registry_records, until

FRESH_SECONDS = 30.0
"""Far longer than a busy machine needs here, far shorter than the old heartbeat is old."""


@asynccontextmanager
async def leading(stack: Stack) -> AsyncIterator[Publication]:
    """Open a publication with the keeper's own rights."""
    opened = Publication(kafka_settings(stack, "keeper"))
    try:
        await opened.open()
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def reading(stack: Stack) -> AsyncIterator[CompactedView[RuleRecord]]:
    view = CompactedView(kafka_settings(stack), REGISTRY_RULES, RuleRecord)
    await view.start()
    try:
        yield view
    finally:
        await view.stop()


def line(rule: str, version: int) -> Line:
    record = RuleRecord(rule=rule, vital="8867-4", low=40, version=version)
    return Line(REGISTRY_RULES.name, rule, record.model_dump_json().encode())


async def test_a_former_leader_can_write_nothing_and_readers_keep_what_the_leader_wrote(stack: Stack) -> None:
    async with leading(stack) as former, reading(stack) as view:
        await former.publish([line("fenced", 1)], clock.now())
        async with leading(stack) as leader:
            await leader.publish([line("fenced", 2)], clock.now())
            for late in ([line("fenced", 1)], []):
                with pytest.raises((Fenced, KafkaError)):
                    await former.publish(late, clock.now())
            await leader.publish([], clock.now())
            await view.confirm()
            assert view.fresh(FRESH_SECONDS)
            assert view.records["fenced"].version == 2
    written = [
        value["version"]
        for key, value in registry_records(await read_topic(kafka_settings(stack), REGISTRY_RULES))
        if value and key == "fenced"
    ]
    assert written == [1, 2]


async def test_a_keeper_that_was_fenced_before_its_first_heartbeat_sends_none(stack: Stack) -> None:
    async with leading(stack) as former, leading(stack):
        with pytest.raises(Fenced):
            await former.publish([], clock.now())


async def test_heartbeats_alone_tell_that_a_topic_was_made_anew(stack: Stack) -> None:
    async with leading(stack) as keeper:
        for _ in range(3):
            await keeper.publish([], clock.now())
        admin = AdminClient(kafka_client(stack.settings("operator")))
        admin.delete_topics([REGISTRY_RULES.name])[REGISTRY_RULES.name].result(20)
        until(lambda: REGISTRY_RULES.name not in admin.list_topics(timeout=10).topics)
        make_topics(admin, (REGISTRY_RULES,))
        with pytest.raises(TopicReset):
            await keeper.publish([], clock.now())
