"""The agent that normalises raw records: bytes in, call the rules, send, acknowledge once confirmed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from contracts import frames
from contracts.errors import Code
from contracts.frames import Coordinates
from contracts.topics import RAW
from runtime import clock
from runtime.version import VERSION
from streams import events, judging
from streams.acknowledger import Acknowledger, Entry
from streams.directory import Directory
from streams.gathering import Gathered, Gathering
from streams.knowledge import Knowledge
from streams.memory import Recent, Warnings
from streams.normalise import Result, normalise, refuse_record

_OUTCOMES = ("received", "replayed", "accepted", "duplicate", "quarantined")
UNKNOWN = (Code.DEVICE_UNKNOWN, Code.DEVICE_RETIRED, Code.UNASSIGNED)

if TYPE_CHECKING:
    from streams.app import Streams


def register(streams: Streams) -> None:
    """Make the agent.

    Args:
        streams: what it shares with the others.
    """
    agent = NormaliseAgent(streams)

    async def normalise_raw(stream: Any) -> None:
        async for event in stream.noack().events():
            try:
                await agent.handle(event)
            except Exception as error:
                streams.fail(error)
                return

    streams.app.agent(agent.topic, name="agora-normalise")(normalise_raw)


class NormaliseAgent:
    """What the agent keeps between events, each partition's apart."""

    def __init__(self, streams: Streams) -> None:
        """Prepare it; works out the unit conversions, which takes about a second.

        Args:
            streams: what it shares with the others.
        """
        self.topic, self._acknowledger = streams.consume(RAW, self._forget)
        settings = streams.settings
        self._gathering = Gathering(streams.outputs, settings.gather_milliseconds / 1000, settings.in_flight_frames, streams.fail)
        self._limit = streams.settings.dedup_readings_per_device
        self._directory = Directory(streams.devices.records.get)
        streams.device_listeners.append(self._directory.forget)
        self._knowledge = Knowledge(streams.devices)
        self._recent: dict[int, Recent] = {}
        self._warnings = Warnings()
        judging.prepare()

    def _forget(self, partition: int) -> None:
        self._recent.pop(partition, None)

    async def handle(self, event: Any) -> None:
        """Normalise one raw record; returns once it is gathered, which waits while Kafka is behind.

        Args:
            event: Faust's event, its value raw bytes.

        Raises:
            InvariantBroken: when records did not come in a row.
            KafkaError: when an output can never be written.
        """
        entry = await self._acknowledger.begin(event)
        await self._knowledge.current()
        result, newest = self.work(event.message)
        if _strangers(result) and await self._knowledge.renew():
            before = result
            result, newest = self.work(event.message)  # as after a crash: a record is no duplicate of itself
            result.warn_as(before)
        count(result)
        await self._gathering.add(Gathered(result, entry.row, partial(_confirmed, self._acknowledger, entry, newest)))

    def work(self, record: Any) -> tuple[Result, int]:
        """Apply the rules to one raw record.

        Args:
            record: Kafka's record: topic, partition, offset, headers and value.

        Returns:
            What became of it, and when its newest message arrived.
        """
        source = Coordinates(record.topic, record.partition, record.offset)
        value, now = record.value or b"", clock.now()
        try:
            messages = frames.decode_raw(value).messages
        except msgspec.DecodeError:
            return refuse_record(value, _claimed(record.headers), source, now, VERSION), now
        recent = self._recent.get(source.partition)
        if recent is None:
            recent = self._recent[source.partition] = Recent(self._limit)
        result = normalise(messages, source, self._directory, recent, self._warnings, now, VERSION)
        return result, messages[-1].received_at if messages else now


def _strangers(result: Result) -> bool:
    """Tell whether a message was refused for what the registry does not say (yet)."""
    return any(kept.code in UNKNOWN for kept in result.quarantined)


def _confirmed(acknowledger: Acknowledger, entry: Entry, newest: int) -> None:
    acknowledger.confirm(entry)
    events.LATENCY.observe(max(0.0, (clock.now() - newest) / 1e6))


def _claimed(headers: Any) -> int:
    """Read how many messages a record says it holds; at least one."""
    return max(1, frames.count_of(list(headers.items()) if isinstance(headers, dict) else headers))


def count(result: Result) -> None:
    """Tell the metrics what became of a raw record."""
    events.FRAME_NORMALISED.emit()
    received = replayed = accepted = duplicate = quarantined = readings = 0
    for row in result.outcome.devices:
        received += row.received
        replayed += row.replayed
        accepted += row.accepted
        duplicate += row.duplicate
        quarantined += row.quarantined
        readings += row.readings
    totals = zip(_OUTCOMES, (received, replayed, accepted, duplicate, quarantined), strict=True)
    for outcome, total in totals:
        if total:
            events.MESSAGES_COUNTED.emit(total, outcome=outcome)
    if readings:
        events.READINGS_ACCEPTED.emit(readings)
    for kept in result.quarantined:
        events.MESSAGES_QUARANTINED.emit(code=kept.code)
    for kind in result.failures:
        events.RULE_FAILED.emit(kind=kind)
