"""Reads the flag states of a partition back from their compacted topic."""

from __future__ import annotations

import asyncio

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts.topics import ALERT_COMMANDS, FLAG_STATE, VITALS
from runtime import kafka
from runtime.settings import KafkaSettings
from streams import flag_events as events
from streams.rules.state import FlagState, decode_state

RETRY_SECONDS = 0.5


async def load(settings: KafkaSettings, partition: int) -> dict[str, FlagState]:
    """Read every subject's state of one partition; a Kafka that does not answer is waited for.

    Args:
        settings: where Kafka is, and as whom.
        partition: of the states' topic, the same as of the subjects' vitals.

    Returns:
        By subject the state that knows most.
    """
    while True:
        reader = kafka.consumer(settings, None)
        try:
            await reader.start()
            return await _read(reader, TopicPartition(FLAG_STATE.name, partition))
        except (KafkaError, OSError) as error:
            events.STATES_AWAITED.emit(reason=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            await reader.stop()


async def _read(reader: AIOKafkaConsumer, partition: TopicPartition) -> dict[str, FlagState]:
    reader.assign([partition])
    await reader.seek_to_beginning(partition)
    end = (await reader.end_offsets([partition]))[partition]
    found: dict[str, FlagState] = {}
    while await reader.position(partition) < end:
        for batch in (await reader.getmany(timeout_ms=200)).values():
            for record in batch:
                take(found, record.key.decode(), record.value)
    events.STATES_LOADED.emit(partition=partition.partition, subjects=len(found))
    return found


def take(found: dict[str, FlagState], subject: str, value: bytes | None) -> None:
    """Take one record in, unless a state that knows more stands there already.

    A worker that slept through the loss of its partition may write an older state behind a newer one when it wakes.

    Args:
        found: by subject; changed in place.
        subject: whose.
        value: msgpack of the state, or None where it was removed.
    """
    if value is None:
        found.pop(subject, None)
        return
    try:
        state = decode_state(value)
    except msgspec.DecodeError as error:
        events.STATE_UNREADABLE.emit(reason=type(error).__name__)
        return
    known = found.get(subject)
    if known is None or progress(known) <= progress(state):
        found[subject] = state


def progress(state: FlagState) -> tuple[int, int]:
    """Tell how far vitals, then people's commands, went into a state: offsets of the last records, -1 before the first."""
    marks = (state.watermarks.get(topic.name) for topic in (VITALS, ALERT_COMMANDS))
    vitals, commands = (-1 if mark is None else mark.offset for mark in marks)
    return vitals, commands
