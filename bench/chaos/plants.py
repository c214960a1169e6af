"""Does on purpose what the check must find. Without this, a check that finds nothing has proved nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from enum import StrEnum

import psycopg
import stamina
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka import TopicPartition as GroupPlace
from confluent_kafka.admin import AdminClient

from bench.chaos.evidence import STREAMS_GROUP
from bench.chaos.platform import Platform
from contracts import frames
from contracts.errors import Code, Stage, Unavailable
from contracts.frames import RawFrame
from contracts.instants import SECOND
from contracts.observation import Observation
from contracts.registry import ConsentRecord
from contracts.topics import PARTITIONS, RAW, app_topic
from deploy.local import kafka as local_kafka
from runtime import clock, kafka
from runtime.settings import DatabaseSettings, KafkaSettings
from sharing import cloud_events
from sharing.fhir.observation import resource
from sharing.pseudonyms import AppPseudonyms

GATHER_SECONDS = 60.0
SETTLED = 5 * SECOND
"""A device that sends a message twice does so within moments, on a crowded machine within seconds."""


class Plant(StrEnum):
    """What is done."""

    SKIPPED_FRAME = "skipped-frame"
    """The workers' place in the raw topic is moved over a record, as a worker that commits too much would; no keeper mends it."""
    DOUBLED_ROW = "doubled-row"
    """A stored reading is stored again a microsecond later, past the unique index."""
    QUARANTINED_MESSAGE = "quarantined-message"
    """A message that is stored is put into quarantine, too, as if nobody had had its device."""
    UNCONSENTED_RECORD = "unconsented-record"
    """A reading of somebody who shares with nobody is put on an app's topic, with operator's rights."""


def settings_for(planted: Collection[Plant]) -> dict[str, dict[str, str]]:
    """Give the settings that plants need from the start: keepers that leave holes alone, which else are mended in seconds."""
    if Plant.SKIPPED_FRAME not in planted:
        return {}
    return {name: {"AGORA_KEEPER_HOLE_SECONDS": "3600"} for name in ("keeper", "keeper-2")}


async def skip_frame(platform: Platform, operator: KafkaSettings) -> str:
    """Move the workers over one raw record while devices go on publishing.

    Args:
        platform: running, under load.
        operator: Kafka's administrator.

    Returns:
        Which record, in words.

    Raises:
        Unavailable: nothing came to be skipped.
    """
    for name in ("streams", "streams-2"):
        await platform.do(platform.stack.stop_process, name)
    place, skipped = await _waiting_record(operator)
    await asyncio.to_thread(_move_group, platform, place, skipped + 1)
    for name in ("streams", "streams-2"):
        await platform.start_process(name)
    return f"the raw record {place.topic}/{place.partition}/{skipped} and what stood before it were skipped"


def _move_group(platform: Platform, place: TopicPartition, offset: int) -> None:
    """Move it once Kafka takes the workers for gone: one that had to be killed is a member until its session ends."""
    admin = AdminClient(local_kafka.client(platform.stack.settings("operator")))
    target = ConsumerGroupTopicPartitions(STREAMS_GROUP, [GroupPlace(place.topic, place.partition, offset)])
    for attempt in stamina.retry_context(on=KafkaException, attempts=None, timeout=GATHER_SECONDS, wait_max=1.0):
        with attempt:
            admin.alter_consumer_group_offsets([target])[STREAMS_GROUP].result(30)


async def _waiting_record(operator: KafkaSettings) -> tuple[TopicPartition, int]:
    """Wait for a raw record that no worker has read, and without which something is missing.

    It must come after the workers' end: one that had to be killed may have written what it had not committed yet.
    """
    watcher = kafka.consumer(operator, STREAMS_GROUP)
    await watcher.start()
    try:
        places = [TopicPartition(RAW.name, number) for number in range(PARTITIONS)]
        watcher.assign(places)
        unread = await watcher.end_offsets(places)
        async with asyncio.timeout(GATHER_SECONDS):
            while True:
                for place, end in (await watcher.end_offsets(places)).items():
                    if end > unread[place]:
                        found = first_that_counts(await _frames(watcher, place, end), unread[place], clock.now())
                        if found is not None:
                            return place, found
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise Unavailable("no raw record came that could be skipped") from None
    finally:
        await watcher.stop()


async def _frames(watcher: AIOKafkaConsumer, place: TopicPartition, end: int) -> dict[int, RawFrame]:
    """Read a partition of the raw topic from its beginning, by offset."""
    found: dict[int, RawFrame] = {}
    await watcher.seek_to_beginning(place)
    while await watcher.position(place) < end:
        for record in (await watcher.getmany(place, timeout_ms=200)).get(place, []):
            found[record.offset] = frames.decode_raw(record.value)
    return found


def first_that_counts(found: Mapping[int, RawFrame], unread: int, now: int) -> int | None:
    """Give the first record that holds a message of which no other record has a copy; pure.

    Args:
        found: the partition's frames by offset.
        unread: from where on no worker has read.
        now: the present, microseconds; a message younger than ``SETTLED`` may still be sent again.

    Returns:
        Its offset, or None.
    """
    copies = Counter(message.payload for frame in found.values() for message in frame.messages)
    for offset in sorted(offset for offset in found if offset >= unread):
        for message in found[offset].messages:
            receipted = message.correlation is not None or message.message_id is not None
            if receipted and copies[message.payload] == 1 and message.received_at < now - SETTLED:
                return offset
    return None


def double_row(owner: DatabaseSettings) -> str:
    """Store a reading twice.

    Args:
        owner: the schema's owner.

    Returns:
        Which, in words.
    """
    columns = "effective_at, received_at, sequence, value, device_key, subject_key, quality, vital_key, site_key, profile"
    with psycopg.connect(owner.conninfo(), autocommit=True) as connection:
        row = connection.execute(
            f"INSERT INTO observations (device_time, {columns}) SELECT device_time + interval '1 microsecond', {columns}"  # noqa: S608
            " FROM observations LIMIT 1 RETURNING device_key, sequence"
        ).fetchone()
    assert row is not None, "nothing is stored that could be doubled"
    return f"a row of message {row[1]} of the device with key {row[0]} was doubled"


def quarantine_message(owner: DatabaseSettings) -> str:
    """Put a valid message into quarantine.

    Args:
        owner: the schema's owner.

    Returns:
        Which, in words.
    """
    with psycopg.connect(owner.conninfo(), autocommit=True) as connection:
        row = connection.execute(
            "INSERT INTO quarantine (source, source_index, messages, org, device, stage, code, words, field, topic, payload,"
            "  received_at, quarantined_at, software)"
            " SELECT 'planted', 0, 1, d.org, d.name, %s, %s, '', '', '',"
            "  convert_to(json_build_object('sequence', o.sequence)::text, 'UTF8'), o.received_at, now(), 'planted'"
            " FROM observations o JOIN devices d USING (device_key) LIMIT 1"
            " RETURNING org || '/' || device, convert_from(payload, 'UTF8')",
            [Stage.NORMALISE.value, Code.UNASSIGNED.value],
        ).fetchone()
    assert row is not None, "nothing is stored that could be put into quarantine"
    return f"the message {row[1]} of {row[0]} was put into quarantine"


async def release_without_consent(
    operator: KafkaSettings, consent: ConsentRecord, pseudonyms: AppPseudonyms, reading: Observation
) -> str:
    """Put a reading on an app's topic that the app must not see.

    Args:
        operator: Kafka's administrator.
        consent: somebody else's to the same app, whose name the record bears.
        pseudonyms: the app's.
        reading: of somebody without a consent.

    Returns:
        Which, in words.
    """
    made = resource([reading], pseudonyms)
    event = cloud_events.observation(made, consent)
    producer = kafka.producer(operator)
    await producer.start()
    try:
        await producer.send_and_wait(app_topic(consent.app).name, event.value, key=event.key, headers=event.headers, partition=0)
    finally:
        await producer.stop()
    return f"the record {made['id']} was released without consent to {consent.app}"
