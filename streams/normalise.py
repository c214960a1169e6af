"""Raw messages become observations (design sections 3 and 5). Pure: values in, values out; never raises for bad data.

A message is the unit of quarantine: when one of its readings cannot be taken, the whole message is kept aside, with the path of
the fault, and can be replayed. Its neighbours in the frame go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from catalogue.formats.decoded import Decoded
from contracts.down import DeviceError, DownRecord, correlation_text
from contracts.errors import EXPLANATIONS, Code, Rejected, Stage
from contracts.frames import Coordinates, RawMessage
from contracts.instants import hour_of
from contracts.mqtt import ERRORS
from contracts.observation import Observation
from contracts.outcomes import DeviceOutcome, RawOutcome
from contracts.quarantine import QuarantinedMessage
from streams.directory import Directory, Route
from streams.memory import Recent, Warnings
from streams.observing import Taken, observe


@dataclass(slots=True)
class Result:
    """What became of one raw record.

    Attributes:
        outcome: the ledger row.
        vitals: observations by partition of their subjects.
        owned: by the same partition, messages for which its record accounts.
        quarantined: messages refused.
        down: what to tell the devices.
        failures: kinds of exceptions that a rule should not have raised; their messages are quarantined as ``internal``.
    """

    outcome: RawOutcome
    vitals: dict[int, list[Observation]] = field(default_factory=dict)
    owned: dict[int, int] = field(default_factory=dict)
    quarantined: list[QuarantinedMessage] = field(default_factory=list)
    down: list[DownRecord] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def warn_as(self, before: Result) -> None:
        """Tell what another pass over the same record, which is not written, warned of: it counts as told, and was not."""
        self.down += [told for told in before.down if told.payload.severity == WARNING]


WARNING = "warning"
INDEX_BITS = 32
"""Of a message's place in its partition: its index in the frame, below the frame's offset."""

# Places of the counts in a row of the ledger, in the order of ``DeviceOutcome``.
RECEIVED, REPLAYED, ACCEPTED, DUPLICATE, QUARANTINED, READINGS = range(2, 8)


def normalise(
    messages: Sequence[RawMessage],
    source: Coordinates,
    directory: Directory,
    recent: Recent,
    warnings: Warnings,
    now: int,
    software: str,
) -> Result:
    """Normalise the messages of one raw record.

    Args:
        messages: of its frame.
        source: where the record stands.
        directory: gives the devices.
        recent: readings of this partition seen lately; changed.
        warnings: warnings given lately; changed.
        now: instant in microseconds.
        software: version, for what is quarantined.

    Returns:
        Everything to be written. Its counts always close: received + replayed = accepted + duplicate + quarantined.
    """
    return _Pass(source, directory, recent, warnings, now, software).run(messages)


def refuse_record(value: bytes, count: int, source: Coordinates, now: int, software: str) -> Result:
    """Quarantine a raw record whole that is no frame.

    Args:
        value: its bytes.
        count: messages it says it holds.
        source: where it stands.
        now: instant in microseconds.
        software: version.

    Returns:
        One quarantined message that keeps the bytes, and a ledger row that counts all of them.
    """
    kept = QuarantinedMessage(
        str(source), -1, "", "", Stage.NORMALISE, Code.PAYLOAD_UNDECODABLE, "the Kafka record is not a frame", "", "",
        value, now, now, software, messages=count,
    )  # fmt: skip
    row = DeviceOutcome("", "", count, 0, 0, 0, count, 0)
    return Result(RawOutcome(source.partition, source.offset, hour_of(now), [row]), quarantined=[kept])


class _Pass:
    """One pass over one raw record."""

    __slots__ = ("_directory", "_now", "_recent", "_result", "_rows", "_software", "_source", "_source_text", "_warnings")

    def __init__(
        self, source: Coordinates, directory: Directory, recent: Recent, warnings: Warnings, now: int, software: str
    ) -> None:
        self._source = source
        self._source_text = str(source)
        self._directory = directory
        self._recent = recent
        self._warnings = warnings
        self._now = now
        self._software = software
        self._rows: dict[str, list[Any]] = {}
        self._result = Result(RawOutcome(source.partition, source.offset, 0, []))

    def run(self, messages: Sequence[RawMessage]) -> Result:
        for index, message in enumerate(messages):
            self._one(index, message)
        hour = hour_of(messages[0].received_at if messages else self._now)
        rows = [DeviceOutcome(*row) for row in self._rows.values()]
        self._result.outcome = RawOutcome(self._source.partition, self._source.offset, hour, rows)
        return self._result

    def _one(self, index: int, message: RawMessage) -> None:
        route = self._directory.route(message.topic)
        row = self._rows.get(route.key)
        if row is None:
            row = self._rows[route.key] = [route.org, route.device, 0, 0, 0, 0, 0, 0]
        row[RECEIVED if message.replay_of is None else REPLAYED] += 1
        if route.decode is None:
            row[QUARANTINED] += 1
            self._refuse(index, message, route, route.code, route.words)
            return
        try:
            decoded = route.decode(message.payload)
            taken = observe(route, message, decoded, index)
            place = self._source.offset << INDEX_BITS | index
            # The store may have refused what was seen, and is asked again: it has the last word.
            duplicate = message.replay_of is None and self._recent.known(route.key, taken.observations, place)
        except Rejected as refusal:
            row[QUARANTINED] += 1
            self._refuse(index, message, route, refusal.code, refusal.words, refusal.field)
            return
        except Exception as error:  # a fault of ours in one message must not stop its neighbours
            row[QUARANTINED] += 1
            self._result.failures.append(type(error).__name__)
            self._refuse(index, message, route, Code.INTERNAL, EXPLANATIONS[Code.INTERNAL][0])
            return
        if decoded.warnings:
            self._warn(message, route, decoded)
        if duplicate:
            row[DUPLICATE] += 1
        else:
            row[ACCEPTED] += 1
            row[READINGS] += len(taken.observations)
            self._keep(taken)

    def _keep(self, taken: Taken) -> None:
        vitals, owned = self._result.vitals, self._result.owned
        partitions = taken.partitions
        owner = partitions[0]
        owned[owner] = owned.get(owner, 0) + 1
        if partitions.count(owner) == len(partitions):
            vitals.setdefault(owner, []).extend(taken.observations)
            return
        for partition, observation in zip(partitions, taken.observations, strict=True):
            vitals.setdefault(partition, []).append(observation)

    def _refuse(self, index: int, message: RawMessage, route: Route, code: Code, words: str, path: str = "") -> None:
        self._result.quarantined.append(
            QuarantinedMessage(
                self._source_text,
                index,
                route.org,
                route.device,
                Stage.NORMALISE,
                code,
                words,
                path,
                message.topic,
                message.payload,
                message.received_at,
                self._now,
                self._software,
                message.correlation,
                message.message_id,
                message.replay_of,
            )
        )
        if message.replay_of is None:
            self._tell(message, route, DeviceError(code, words, "error", path))

    def _warn(self, message: RawMessage, route: Route, decoded: Decoded) -> None:
        for warned in decoded.warnings:
            if self._warnings.due(route.org, route.device, warned.code, warned.field, self._now):
                self._tell(message, route, DeviceError(warned.code, warned.words, WARNING, warned.field))

    def _tell(self, message: RawMessage, route: Route, error: DeviceError) -> None:
        if not route.device:
            return
        told = DeviceError(
            error.code,
            error.words,
            error.severity,
            error.field,
            route.stream,
            correlation_text(message.correlation) if message.correlation is not None else "",
            message.message_id or "",
        )
        self._result.down.append(DownRecord(route.org, route.device, ERRORS, told))
