"""Reads what came of the run: Kafka's topics from their beginning, the apps' by their own credentials, and the tables."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import TopicPartition
from psycopg import Connection

from bench.chaos.alerts import Arrival, Raised
from bench.chaos.judge import Kept
from bench.chaos.judge_apps import Notice, Release
from bench.chaos.load import Value
from contracts.alerts import AlertTransition, decode_transition
from contracts.down import correlation_text
from contracts.errors import Unavailable
from contracts.frames import decode_raw
from contracts.instants import from_datetime
from contracts.observation import decode_vitals
from contracts.topics import ALERTS, RAW, VITALS, Topic, app_topic
from runtime import kafka
from runtime.settings import DatabaseSettings, KafkaSettings
from sharing.cloud_events import OBSERVATION_TYPE, WITHDRAWN_TYPE, header
from storage.ledger import Closing, settle
from storage.log_reads import open_log
from storage.pieces import KafkaRecord

STREAMS_GROUP, ROUTER_GROUP = "agora-streams", "agora-router"
READERS = ((STREAMS_GROUP, RAW), (STREAMS_GROUP, VITALS), (ROUTER_GROUP, VITALS))
"""Who must have read what to its end before anything is counted; the store's places are in the ledger."""
LOOK_SECONDS = 0.5


@dataclass
class Logs:
    """What stands in Kafka.

    Attributes:
        arrivals: by device, its numbered messages at their first occurrence in the raw topic, in its order.
        raw_messages: all messages there, repeats included.
        raw_records: of each record there the second in which it was appended, and its messages.
        vitals: by device, the sequences of its messages in the order of their first occurrence in the vitals topic.
        contradictions: transitions of alerts that were told in two ways.
    """

    arrivals: dict[str, list[Arrival]] = field(default_factory=dict)
    raw_messages: int = 0
    raw_records: list[tuple[int, int]] = field(default_factory=list)
    vitals: dict[str, list[int]] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)


async def drain(
    database: DatabaseSettings, settings: KafkaSettings, seconds: float, close_seconds: float
) -> tuple[Closing | None, dict[str, int]]:
    """Wait until everything that came is read by everybody and stored.

    Args:
        database: as a role that reads the ledger.
        settings: as a user that reads all topics and groups.
        seconds: how long to wait at most for the readers.
        close_seconds: how long to wait at most, after that, for the ledger to close.

    Returns:
        The last balance, None where it could not be read, and by reader the records it is behind.
    """
    deadline = time.monotonic() + seconds
    behind: dict[str, int] = {}
    while time.monotonic() < deadline:
        try:
            behind = {f"{group} on {topic.name}": await _lag(settings, group, topic) for group, topic in READERS}
            if not any(behind.values()):
                return await settle(database, settings, close_seconds), behind
        except Unavailable:
            pass
        await asyncio.sleep(LOOK_SECONDS)
    try:
        return await settle(database, settings, 0.0), behind
    except Unavailable:
        return None, behind


async def _lag(settings: KafkaSettings, group: str, topic: Topic) -> int:
    watcher = kafka.consumer(settings, group)
    await watcher.start()
    try:
        places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        ends = await watcher.end_offsets(places)
        return sum([max(0, int(end) - (await watcher.committed(place) or 0)) for place, end in ends.items()])
    finally:
        await watcher.stop()


async def read_logs(settings: KafkaSettings) -> Logs:
    """Read raw, vitals and alerts whole.

    Args:
        settings: as a user that reads them.
    """
    logs = Logs()
    known: set[tuple[str, int]] = set()
    async for record in _all(settings, RAW):
        messages = decode_raw(record.value or b"").messages
        logs.raw_records.append((record.timestamp // 1000, len(messages)))
        logs.raw_messages += len(messages)
        for message in messages:
            device = "/".join(message.topic.split("/")[2:4])
            sequence = sequence_of(message.payload)
            if sequence is not None and (device, sequence) not in known:
                known.add((device, sequence))
                logs.arrivals.setdefault(device, []).append(Arrival(sequence, message.received_at))
    known = set()
    async for record in _all(settings, VITALS):
        for one in decode_vitals(record.value or b"").observations:
            device = f"{one.org}/{one.device}"
            if (device, one.sequence) not in known:
                known.add((device, one.sequence))
                logs.vitals.setdefault(device, []).append(one.sequence)
    logs.contradictions = contradictions([decode_transition(record.value or b"") async for record in _all(settings, ALERTS)])
    return logs


def contradictions(found: list[AlertTransition]) -> list[str]:
    """Find transitions that were told again with another content."""
    first: dict[tuple[str, int], AlertTransition] = {}
    return [
        f"{one.subject} {one.rule} number {one.number}" for one in found if first.setdefault((one.alert, one.number), one) != one
    ]


async def _all(settings: KafkaSettings, topic: Topic) -> AsyncIterator[KafkaRecord]:
    async with open_log(settings) as log:
        ends = await log.ends([topic])
        spans = {number: (0, ends[topic.name, number]) for number in range(topic.partitions)}
        async for record in log.read(topic, spans):
            yield record


def sequence_of(payload: bytes) -> int | None:
    """Read a message's number, also from a reading of it that the store refused; None for garbage, which has none."""
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    if isinstance(body, dict):
        body = body.get("observation", body)
    sequence = body.get("sequence") if isinstance(body, dict) else None
    return sequence if isinstance(sequence, int) else None


@dataclass
class AppTopic:
    """What stands on an app's topic: readings, and words to erase."""

    released: list[Release] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


async def read_app(settings: KafkaSettings, app: str) -> AppTopic:
    """Read an app's topic from its beginning.

    Args:
        settings: the app's own.
        app: its name.
    """
    found = AppTopic()
    async for record in _all(settings, app_topic(app)):
        kind = header(list(record.headers), "ce_type")
        if kind == OBSERVATION_TYPE:
            found.released.append(release_of(record))
        elif kind == WITHDRAWN_TYPE:
            found.notices.append(Notice(header(list(record.headers), "ce_consentid"), record.timestamp * 1000, record.offset))
    return found


def release_of(record: Any) -> Release:
    """Read what a record of an app's topic shows."""
    body = orjson.loads(record.value)
    if "component" in body:
        values = [(_code(one), one["valueQuantity"]["value"]) for one in body["component"] if "valueQuantity" in one]
    else:
        values = [(_code(body), body["valueQuantity"]["value"])]
    patient = body["subject"]["reference"].removeprefix("Patient/")
    shown = (patient, body["effectiveDateTime"], tuple((code, float(value)) for code, value in values))
    consent = header(list(record.headers), "ce_consentid")
    return Release(body["id"], shown, record.timestamp * 1000, consent, record.offset)


def _code(body: dict[str, Any]) -> str:
    return str(body["code"]["coding"][0]["code"])


_ROWS = """
SELECT v.code, coalesce(n.name, t.name), o.device_time, o.sequence, o.value, s.name
FROM observations o JOIN vitals v USING (vital_key) JOIN subjects s USING (subject_key)
LEFT JOIN sites t USING (site_key) LEFT JOIN device_sites n USING (device_key, site_key)
WHERE o.device_key = (SELECT device_key FROM devices WHERE org || '/' || name = %s)"""


def rows_of(connection: Connection[Any], device: str) -> Iterator[tuple[Value, float, str]]:
    """Read one device's rows, each with whose it is.

    Args:
        connection: as a role that reads readings.
        device: its key.
    """
    for code, site, moment, sequence, value, subject in connection.execute(_ROWS, [device]):
        yield Value(code, site, from_datetime(moment), sequence), value, subject


def kept(connection: Connection[Any]) -> list[Kept]:
    """Read the quarantine.

    Args:
        connection: as a role that reads it.
    """
    rows = connection.execute("SELECT org, device, payload, correlation, stage, code FROM quarantine")
    return [
        Kept(
            f"{org}/{device}" if device else "",
            sequence_of(bytes(payload)),
            "" if correlation is None else correlation_text(bytes(correlation)),
            stage,
            code,
        )
        for org, device, payload, correlation, stage, code in rows
    ]


def raised(connection: Connection[Any]) -> set[Raised]:
    """Read the alerts that were raised."""
    rows = connection.execute("SELECT subject, rule, onset FROM alert_transitions WHERE transition = 'raised'")
    return {Raised(subject, rule, from_datetime(onset)) for subject, rule, onset in rows}
