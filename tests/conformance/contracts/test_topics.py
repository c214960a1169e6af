from __future__ import annotations

import re

import pytest

from contracts.frames import MAX_FRAME_BYTES
from contracts.topics import DAY_MS, PARTITIONS, TOPICS, Principal, Topic, app_topic

ALL = (*TOPICS, app_topic("rhythm"))
BY_NAME = pytest.mark.parametrize("topic", ALL, ids=lambda topic: topic.name)


@BY_NAME
def test_every_topic_has_a_versioned_name_a_key_and_a_value(topic: Topic) -> None:
    assert re.fullmatch(r"agora\.([a-z0-9-]+\.)+v\d+", topic.name)
    assert topic.key
    assert topic.value.split()[0] in ("msgpack", "JSON", "FHIR")


@BY_NAME
def test_every_topic_has_somebody_who_writes_and_somebody_who_reads(topic: Topic) -> None:
    assert topic.writers
    assert topic.readers or topic.name.startswith("agora.app.")
    assert Principal.OPERATOR not in (*topic.writers, *topic.readers)


@BY_NAME
def test_a_key_stays_in_its_partition(topic: Topic) -> None:
    assert topic.partitions in (1, PARTITIONS)


@BY_NAME
def test_every_record_that_may_be_made_finds_room(topic: Topic) -> None:
    assert topic.max_message_bytes > MAX_FRAME_BYTES


@BY_NAME
def test_records_are_kept_long_enough_to_mend_what_is_broken(topic: Topic) -> None:
    assert topic.compacted or topic.retention_ms >= DAY_MS


def test_topics_of_the_registry_are_compacted_and_written_by_the_keeper_alone() -> None:
    for topic in TOPICS:
        if topic.name.startswith("agora.registry."):
            assert (topic.compacted, topic.partitions, topic.writers) == (True, 1, (Principal.KEEPER,))


def test_nobody_but_the_router_writes_to_apps_and_the_broker_stamps_it() -> None:
    assert app_topic("rhythm").writers == (Principal.ROUTER,)
    assert app_topic("rhythm").log_append_time
    assert app_topic("rhythm").retention_ms <= 7 * DAY_MS


def test_no_process_may_read_an_apps_topic() -> None:
    assert app_topic("rhythm").readers == ()


def test_no_two_topics_share_a_name() -> None:
    assert len({topic.name for topic in ALL}) == len(ALL)
