"""Sending quarantined messages through again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError
from psycopg import AsyncConnection
from psycopg.rows import class_row

from contracts.errors import Rejected, Stage, Unavailable
from contracts.frames import MAX_FRAME_BYTES, Coordinates, RawFrame, RawMessage, decode_raw, encode, headers
from contracts.ids import device_key, partition_of
from contracts.instants import from_datetime, hour_of
from contracts.mqtt import parse_up
from contracts.topics import RAW
from runtime import kafka
from runtime.settings import KafkaSettings
from storage.database import translated
from storage.log_reads import open_log
from storage.quarantine import Selection

CHUNK_ROWS = 500
FRAME_MESSAGES = 250
_BY_SELECTION = """
SELECT quarantine_id FROM quarantine WHERE (%(code)s = '' OR code = %(code)s)
    AND (%(device)s = '' OR org || '/' || device = %(device)s) AND quarantined_at >= %(since)s
    AND (%(replayed)s OR replayed_at IS NULL) ORDER BY quarantine_id"""
_ROWS = """
SELECT quarantine_id, source, source_index, stage, topic, payload, received_at, correlation, message_id, raw_source
FROM quarantine WHERE quarantine_id = ANY(%s) ORDER BY quarantine_id"""
_MARK = "UPDATE quarantine SET replayed_at = now() WHERE quarantine_id = ANY(%s)"


@dataclass
class Replayed:
    """What came of a replay.

    Attributes:
        rows: quarantine rows that were sent through again.
        messages: messages in them.
        left: number of a row that was not, and why.
    """

    rows: int = 0
    messages: int = 0
    left: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A row of the quarantine, as far as a replay needs it."""

    quarantine_id: int
    source: str
    source_index: int
    stage: str
    topic: str
    payload: bytes
    received_at: datetime
    correlation: bytes | None
    message_id: str | None
    raw_source: str | None


async def select(connection: AsyncConnection, selection: Selection) -> list[int]:
    """Give the numbers of the rows to replay, oldest first.

    Args:
        connection: of a role that reads the quarantine.
        selection: which.
    """
    with translated():
        return [number for (number,) in await (await connection.execute(_BY_SELECTION, selection.parameters())).fetchall()]


async def replay(connection: AsyncConnection, settings: KafkaSettings, numbers: Sequence[int]) -> Replayed:
    """Send quarantined messages through again; a row is marked only after Kafka has confirmed its messages.

    Twice is harmless: each pass gives the same readings with the same ids, and the ledger counts each with the outcome it had.

    Args:
        connection: as the operator.
        settings: Kafka as the operator.
        numbers: rows of the quarantine; one replayed before is replayed again.

    Returns:
        What was done, and what could not be.

    Raises:
        Unavailable: database or Kafka does not answer; what was done so far is marked.
    """
    done = Replayed()
    producer = kafka.producer(settings)
    try:
        await producer.start()
        for start in range(0, len(numbers), CHUNK_ROWS):
            await _replay_chunk(connection, settings, producer, numbers[start : start + CHUNK_ROWS], done)
    except KafkaConnectionError as error:
        raise Unavailable(f"Kafka at {settings.bootstrap} does not answer") from error
    except KafkaError as error:
        raise Unavailable(f"Kafka at {settings.bootstrap}: {type(error).__name__}") from error
    finally:
        await producer.stop()
    return done


async def _replay_chunk(
    connection: AsyncConnection, settings: KafkaSettings, producer: AIOKafkaProducer, numbers: Sequence[int], done: Replayed
) -> None:
    async with connection.cursor(row_factory=class_row(Row)) as cursor:
        with translated():
            await cursor.execute(_ROWS, (list(numbers),))
            found = await cursor.fetchall()
    for number in set(numbers) - {row.quarantine_id for row in found}:
        done.left[number] = "there is no such number"
    raw_records = await _fetch_raw(settings, [row.raw_source for row in found if row.raw_source])
    again: dict[int, list[RawMessage]] = {}
    for row in found:
        messages = messages_of(row, raw_records)
        if isinstance(messages, str):
            done.left[row.quarantine_id] = messages
        else:
            again[row.quarantine_id] = messages
    confirmations = [
        await producer.send(RAW.name, encode(RawFrame(frame)), partition=partition, headers=headers(len(frame)))
        for partition, frame in frames_of(message for messages in again.values() for message in messages)
    ]
    await producer.flush()
    for confirmation in confirmations:
        await confirmation
    with translated():
        await connection.execute(_MARK, (list(again),))
    done.rows += len(again)
    done.messages += sum(map(len, again.values()))


def messages_of(row: Row, raw_records: dict[Coordinates, bytes]) -> list[RawMessage] | str:
    """Give the messages of a quarantine row, or why there are none.

    Args:
        row: the row.
        raw_records: values of the raw records that the store's own rows name.
    """
    again = f"{row.source}/{row.source_index}"
    if row.stage == Stage.BRIDGE:
        return "the bridge found it too large, and may have kept its beginning only"
    if row.stage == Stage.STORE:
        return _messages_of_store(row, again, raw_records)
    if row.source_index < 0:
        return _messages_of_record(row)
    try:
        parse_up(row.topic)
    except Rejected:
        return "its topic names no device"
    return [RawMessage(row.topic, row.payload, from_datetime(row.received_at), row.correlation, row.message_id, again)]


def _messages_of_store(row: Row, again: str, raw_records: dict[Coordinates, bytes]) -> list[RawMessage] | str:
    """Give the raw message a reading came from; for a vitals record that was unreadable, all of its raw record."""
    if row.raw_source is None:
        return "it came from no raw message"
    coordinates, message = raw_coordinates(row.raw_source)
    if coordinates not in raw_records:
        return "Kafka no longer holds the raw message"
    frame = decode_raw(raw_records[coordinates]).messages
    wanted = frame if message is None else frame[message : message + 1]
    return [msgspec.structs.replace(one, replay_of=again) for one in wanted]


def _messages_of_record(row: Row) -> list[RawMessage] | str:
    """Read a record that could not be read before: perhaps this version can."""
    try:
        frame = decode_raw(row.payload).messages
    except msgspec.DecodeError:
        return "this version cannot read the record either"
    return [msgspec.structs.replace(one, replay_of=f"{row.source}/{place}") for place, one in enumerate(frame)]


def raw_coordinates(text: str) -> tuple[Coordinates, int | None]:
    """Take ``topic/partition/offset[/message]`` apart."""
    if text.count("/") == 3:
        record, message = text.rsplit("/", 1)
        return Coordinates.parse(record), int(message)
    return Coordinates.parse(text), None


def frames_of(messages: Iterable[RawMessage]) -> list[tuple[int, list[RawMessage]]]:
    """Put messages into frames as the bridge does: by partition, and none of two hours, which the ledger counts by.

    Args:
        messages: in the order in which they shall be sent.

    Returns:
        Partition and messages of each frame.
    """
    frames: list[tuple[int, list[RawMessage]]] = []
    open_: dict[tuple[int, int], tuple[list[RawMessage], int]] = {}
    for message in messages:
        key = partition_of(_key(message.topic), RAW.partitions), hour_of(message.received_at)
        length = len(message.payload) + len(message.topic) + 200
        frame, size = open_.get(key, ([], MAX_FRAME_BYTES))
        if size + length > MAX_FRAME_BYTES or len(frame) >= FRAME_MESSAGES:
            frame, size = [], 0
            frames.append((key[0], frame))
        frame.append(message)
        open_[key] = frame, size + length
    return frames


def _key(topic: str) -> str:
    """Give what a message is partitioned by; where its topic names no device the normaliser will say so once more."""
    try:
        up = parse_up(topic)
    except Rejected:
        return topic
    return device_key(up.org, up.device)


async def _fetch_raw(settings: KafkaSettings, sources: Iterable[str]) -> dict[Coordinates, bytes]:
    wanted = {raw_coordinates(source)[0] for source in sources}
    found: dict[Coordinates, bytes] = {}
    if not wanted:
        return found
    async with open_log(settings) as log:
        for one in wanted:
            async for record in log.read(RAW, {one.partition: (one.offset, one.offset + 1)}):
                found[one] = record.value or b""
    return found
