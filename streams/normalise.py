"""Raw messages become observations (design sections 3 and 5). Pure: values in, values out; never raises for bad data.

A message is the unit of quarantine: when one of its readings cannot be taken, the whole message is kept aside, with the path of
the fault, and can be replayed. Its neighbours in the frame go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

from catalogue.formats.decoded import Decoded, Reading
from contracts.down import DeviceError, DownRecord, correlation_text
from contracts.errors import EXPLANATIONS, Code, Rejected, Stage
from contracts.frames import Coordinates, RawMessage
from contracts.ids import observation_id
from contracts.instants import DAY, MINUTE, hour_of
from contracts.mqtt import ERRORS
from contracts.observation import Observation, Quality
from contracts.outcomes import DeviceOutcome, RawOutcome
from contracts.quarantine import QuarantinedMessage
from streams.directory import Directory, Route
from streams.judging import judge
from streams.memory import Recent, Warnings

OLDEST = 400 * DAY
"""How long before its arrival a reading may claim to be from (design section 5, 2)."""
NEWEST = DAY
"""How long after its arrival."""
AHEAD = MINUTE
"""A clock further ahead of the arrival than this is suspect."""

# Plain numbers: arithmetic on the enumeration costs more than decoding the reading.
IMPLAUSIBLE = int(Quality.IMPLAUSIBLE)
CLOCK_SUSPECT = int(Quality.CLOCK_SUSPECT)
LATE = int(Quality.LATE)
ESTIMATED = int(Quality.ESTIMATED)
TEST_DATA = int(Quality.TEST_DATA)
SEQUENCED = int(Quality.SEQUENCED)
CLOCK_CORRECTED = int(Quality.CLOCK_CORRECTED)


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


class _Counts:
    """Counts of one device within one raw record."""

    __slots__ = ("accepted", "duplicate", "quarantined", "readings", "received", "replayed")

    def __init__(self) -> None:
        self.received = self.replayed = self.accepted = self.duplicate = self.quarantined = self.readings = 0


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
        str(source), 0, "", "", Stage.NORMALISE, Code.PAYLOAD_UNDECODABLE, "the Kafka record is not a frame", "", "",
        value, now, now, software,
    )  # fmt: skip
    row = DeviceOutcome("", "", count, 0, 0, 0, count, 0)
    return Result(RawOutcome(source.partition, source.offset, hour_of(now), [row]), quarantined=[kept])


class _Pass:
    """One pass over one raw record."""

    __slots__ = ("_counts", "_directory", "_now", "_recent", "_result", "_software", "_source", "_source_text", "_warnings")

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
        self._counts: dict[tuple[str, str], _Counts] = {}
        self._result = Result(RawOutcome(source.partition, source.offset, 0, []))

    def run(self, messages: Sequence[RawMessage]) -> Result:
        for index, message in enumerate(messages):
            self._one(index, message)
        hour = hour_of(messages[0].received_at if messages else self._now)
        rows = [
            DeviceOutcome(org, device, one.received, one.replayed, one.accepted, one.duplicate, one.quarantined, one.readings)
            for (org, device), one in self._counts.items()
        ]
        self._result.outcome = RawOutcome(self._source.partition, self._source.offset, hour, rows)
        return self._result

    def _one(self, index: int, message: RawMessage) -> None:
        route = self._directory.route(message.topic)
        key = (route.org, route.device)
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = _Counts()
        if message.replay_of is None:
            counts.received += 1
        else:
            counts.replayed += 1
        if route.decode is None:
            counts.quarantined += 1
            self._refuse(index, message, route, route.code, route.words)
            return
        try:
            decoded = route.decode(message.payload)
            taken = _observe(route, message, decoded, index)
            duplicate = self._recent.known([observation for _, observation in taken], (self._source.offset, index))
        except Rejected as refusal:
            counts.quarantined += 1
            self._refuse(index, message, route, refusal.code, refusal.words, refusal.field)
            return
        except Exception as error:  # a fault of ours in one message must not stop its neighbours
            counts.quarantined += 1
            self._result.failures.append(type(error).__name__)
            self._refuse(index, message, route, Code.INTERNAL, EXPLANATIONS[Code.INTERNAL][0])
            return
        if decoded.warnings:
            self._warn(message, route, decoded)
        if duplicate:
            counts.duplicate += 1
            return
        counts.accepted += 1
        counts.readings += len(taken)
        vitals, owned = self._result.vitals, self._result.owned
        owner = taken[0][0]
        owned[owner] = owned.get(owner, 0) + 1
        for partition, observation in taken:
            found = vitals.get(partition)
            if found is None:
                vitals[partition] = [observation]
            else:
                found.append(observation)

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
                self._tell(message, route, DeviceError(warned.code, warned.words, "warning", warned.field))

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


def _observe(route: Route, message: RawMessage, decoded: Decoded, index: int) -> list[tuple[int, Observation]]:
    """Take the readings of one message, each with the partition of its subject.

    Raises:
        Rejected: when one cannot be taken.
    """
    org, device, received_at = route.org, route.device, message.received_at
    common = TEST_DATA if decoded.test else 0
    taken: list[tuple[int, Observation]] = []
    components: set[tuple[int, str]] = set()
    time: int | None = None
    effective_at = timing = partition = owner = 0
    subject = ""
    for reading in decoded.readings:
        judgement = judge(reading)
        value = judgement.convert(reading.value)
        if not isfinite(value):
            raise Rejected(Code.VALUE_NOT_FINITE, field=f"{reading.path}.value")
        if reading.panel:
            component = (reading.position, judgement.vital)
            if component in components:
                raise Rejected(Code.PANEL_INVALID, "the panel holds this component twice", f"{reading.path}.code")
            components.add(component)
        if reading.time != time:
            time = reading.time
            effective_at, timing = _timing(route, reading, received_at)
            subject, partition = _subject(route, effective_at, reading)
            if not taken:
                owner = partition
        quality = common | timing
        if reading.estimated:
            quality |= ESTIMATED
        sequence = reading.sequence
        if sequence is None:
            sequence = reading.position
        else:
            quality |= SEQUENCED
        if not judgement.low <= value <= judgement.high:
            quality |= IMPLAUSIBLE
        identifier = observation_id(org, device, judgement.vital, reading.site, time, sequence)
        observation = Observation(
            identifier, org, device, subject, judgement.vital, reading.site, value, judgement.unit, time, effective_at,
            received_at, sequence, quality, index, partition == owner, reading.panel,
        )  # fmt: skip
        taken.append((partition, observation))
    return taken


def _timing(route: Route, reading: Reading, received_at: int) -> tuple[int, int]:
    """Correct a reading's time by what is recorded for the device, and say what its clock is worth (design section 5, 3)."""
    effective_at, quality = reading.time, 0
    for start, end, offset in route.corrections:
        if start <= reading.time < end:
            effective_at += offset
            quality = CLOCK_CORRECTED
            break
    age = received_at - effective_at
    if age > OLDEST or age < -NEWEST:
        raise Rejected(Code.CLOCK, field=f"{reading.path}.time")
    if age > route.late_after:
        quality |= LATE
    elif age < -AHEAD:
        quality |= CLOCK_SUSPECT
    return effective_at, quality


def _subject(route: Route, effective_at: int, reading: Reading) -> tuple[str, int]:
    """Find who had the device then: exactly one, never a guess (design section 5, 8)."""
    found = [loan for loan in route.loans if loan.start <= effective_at < loan.end]
    if len(found) != 1:
        who = "no subject" if not found else "more than one subject"
        raise Rejected(Code.UNASSIGNED, f"{who} had the device on loan at the reading's time", f"{reading.path}.time")
    return found[0].subject, found[0].partition
