"""Raw messages become observations (design sections 3 and 5). Pure: values in, values out; never raises for bad data.

A message is the unit of quarantine: when one of its readings cannot be taken, the whole message is kept aside, with the path of
the fault, and can be replayed. Its neighbours in the frame go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from catalogue.formats.decoded import Decoded, Reading
from catalogue.units import DECIMALS
from contracts.down import DeviceError, DownRecord, correlation_text
from contracts.errors import EXPLANATIONS, Code, Rejected, Stage
from contracts.frames import Coordinates, RawMessage
from contracts.ids import observation_id
from contracts.instants import DAY, MINUTE, hour_of
from contracts.mqtt import ERRORS
from contracts.observation import Observation, Quality
from contracts.outcomes import DeviceOutcome, RawOutcome
from contracts.quarantine import QuarantinedMessage
from streams.directory import Directory, Loan, Route
from streams.judging import Judgement, judge
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
        str(source), 0, "", "", Stage.NORMALISE, Code.PAYLOAD_UNDECODABLE, "the Kafka record is not a frame", "", "",
        value, now, now, software,
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
            taken = _Taken()
            _observe(route, message, decoded, index, taken)
            duplicate = self._recent.known(route.key, taken.observations, (self._source.offset, index))
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

    def _keep(self, taken: _Taken) -> None:
        vitals, owned = self._result.vitals, self._result.owned
        owned[taken.owner] = owned.get(taken.owner, 0) + 1
        if taken.partitions is None:
            vitals.setdefault(taken.owner, []).extend(taken.observations)
            return
        for partition, observation in zip(taken.partitions, taken.observations, strict=True):
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


class _Taken:
    """The observations of one message.

    Attributes:
        observations: in the order of its readings.
        owner: partition of the first one's subject, whose record accounts for the message.
        partitions: of each, where they differ; else None.
    """

    __slots__ = ("observations", "owner", "partitions")

    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self.owner = -1
        self.partitions: list[int] | None = None

    def place(self, partition: int) -> None:
        """Say where the readings from now on belong."""
        if self.owner < 0:
            self.owner = partition
        elif partition != self.owner and self.partitions is None:
            self.partitions = [self.owner] * len(self.observations)


def _observe(route: Route, message: RawMessage, decoded: Decoded, index: int, taken: _Taken) -> None:
    """Take the readings of one message.

    Raises:
        Rejected: when one cannot be taken.
    """
    org, device, received_at, observations = route.org, route.device, message.received_at, taken.observations
    common = TEST_DATA if decoded.test else 0
    components: set[tuple[int, str]] = set()
    time: int | None = None
    effective_at = timing = partition = 0
    subject = ""
    for reading in decoded.readings:
        judgement = judge(reading)
        vital, unit, same, _, _, low, high = judgement
        value = reading.value if same else _converted(judgement, reading)
        if reading.panel:
            _refuse_twice(components, reading, vital)
        if reading.time != time:
            time = reading.time
            effective_at, timing = _timing(route, reading, received_at)
            subject, partition = _subject(route.loans, effective_at, reading)
            taken.place(partition)
        if taken.partitions is not None:
            taken.partitions.append(partition)
        quality = common | timing if low <= value <= high else common | timing | IMPLAUSIBLE
        if reading.estimated:
            quality |= ESTIMATED
        sequence = reading.sequence
        if sequence is None:
            sequence = reading.position
        else:
            quality |= SEQUENCED
        site = reading.site
        observations.append(
            Observation(
                observation_id(org, device, vital, site, time, sequence), org, device, subject, vital, site, value, unit, time,
                effective_at, received_at, sequence, quality, index, partition == taken.owner, reading.panel,
            )
        )  # fmt: skip


def _converted(judgement: Judgement, reading: Reading) -> float:
    """Convert to the canonical unit, rounded so that a resend is equal bit for bit."""
    value = round(judgement.scale * reading.value + judgement.offset, DECIMALS)
    if not isfinite(value):
        raise Rejected(Code.VALUE_NOT_FINITE, field=f"{reading.path}.value")
    return value


def _refuse_twice(components: set[tuple[int, str]], reading: Reading, vital: str) -> None:
    component = (reading.position, vital)
    if component in components:
        raise Rejected(Code.PANEL_INVALID, "the panel holds this component twice", f"{reading.path}.code")
    components.add(component)


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


def _subject(loans: tuple[Loan, ...], effective_at: int, reading: Reading) -> tuple[str, int]:
    """Find who had the device then: exactly one, never a guess (design section 5, 8)."""
    found: Loan | None = None
    for loan in loans:
        if loan.start <= effective_at < loan.end:
            if found is not None:
                found = None
                break
            found = loan
    if found is None:
        raise Rejected(
            Code.UNASSIGNED, "no subject, or more than one, had the device on loan at the reading's time", f"{reading.path}.time"
        )
    return found.subject, found.partition
