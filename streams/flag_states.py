"""Reads the flag states of a partition back from their compacted topic."""

from __future__ import annotations

import asyncio

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError

from contracts.observation import Observation, decode_vitals
from contracts.topics import ALERT_COMMANDS, FLAG_STATE, VITALS
from runtime import kafka
from runtime.settings import KafkaSettings
from streams import flag_events as events
from streams.rules.limits import RuleBook
from streams.rules.state import FlagState, decode_state
from streams.rules.thresholds import UNTRUSTED, moment_of, remind

RETRY_SECONDS = 0.5
READ_MS = 5_000
FETCH_WAIT_MS = 20
REMIND_MS = 2 * 60_000
"""How far back vitals are read again: twice as long as a state that did not change may stay unwritten."""

MAX_NEWEST = 100_000
"""Series of which the newest reading is gathered before the states are reminded: a device may name a new site each time."""
Newest = dict[tuple[str, str, str, str, str], Observation]
"""By subject, vital, device, site and organisation: the newest reading."""


async def load(settings: KafkaSettings, group: str, partition: int, upto: int | None, book: RuleBook) -> dict[str, FlagState]:
    """Read every subject's state of one partition; a Kafka that does not answer is waited for.

    Args:
        settings: where Kafka is, and as whom.
        group: the workers' consumer group.
        partition: of the states' topic, the same as of the subjects' vitals.
        upto: offset of the first record of vitals to be judged; None to ask where the group stands.
        book: the rules in force.

    Returns:
        By subject the state that knows most, reminded of what was judged since it was written.
    """
    while True:
        # The group is named only to ask where it stands, and not joined; nothing is waited for that is not there yet.
        reader = kafka.consumer(settings, group if upto is None else None, fetch_max_wait_ms=FETCH_WAIT_MS)
        try:
            await reader.start()
            found = await _read(reader, TopicPartition(FLAG_STATE.name, partition))
            await _remind(reader, TopicPartition(VITALS.name, partition), upto, found, book)
            return found
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


async def _remind(
    reader: AIOKafkaConsumer, place: TopicPartition, upto: int | None, found: dict[str, FlagState], book: RuleBook
) -> None:
    """Read the last vitals before the first one to be judged once more, for the newest reading of each subject alone."""
    if upto is None:
        upto = await reader.committed(place) or 0
    start = await _since(reader, place, upto)
    if start >= upto:
        return
    reader.assign([place])
    reader.seek(place, start)
    newest: Newest = {}
    while await reader.position(place) < upto:
        for batch in (await reader.getmany(timeout_ms=200)).values():
            for record in batch:
                if record.offset < upto:
                    find_newest(newest, record.value)
                if len(newest) > MAX_NEWEST:
                    _remind_all(newest, found, book)
    _remind_all(newest, found, book)


async def _since(reader: AIOKafkaConsumer, place: TopicPartition, upto: int) -> int:
    """Find the first record that was written at most ``REMIND_MS`` before the last one below an offset."""
    beginning = (await reader.beginning_offsets([place]))[place]
    if upto <= beginning:
        return upto
    reader.assign([place])
    reader.seek(place, upto - 1)
    batch = (await reader.getmany(place, timeout_ms=READ_MS, max_records=1)).get(place)
    if not batch:
        raise KafkaTimeoutError(f"{place.topic} gave nothing at {upto - 1}")
    since = (await reader.offsets_for_times({place: max(0, batch[0].timestamp - REMIND_MS)}))[place]
    return upto if since is None else max(beginning, since.offset)


def _remind_all(newest: Newest, found: dict[str, FlagState], book: RuleBook) -> None:
    for one in sorted(newest.values(), key=moment_of):
        remind(found.setdefault(one.subject, FlagState()), book, (one,))
    newest.clear()


def find_newest(newest: Newest, value: bytes) -> None:
    """Keep of each series the newest reading: after a busy minute hundreds of thousands are read, and no other one counts.

    Args:
        newest: of the records before; changed in place.
        value: of a record of vitals; one that cannot be read was told of when it was judged.
    """
    try:
        observations = decode_vitals(value).observations
    except msgspec.DecodeError:
        return
    for one in observations:
        if one.quality & UNTRUSTED:
            continue
        key = (one.subject, one.vital, one.device, one.site, one.org)
        known = newest.get(key)
        if known is None or moment_of(known) < moment_of(one):
            newest[key] = one


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
