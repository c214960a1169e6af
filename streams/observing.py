"""The readings of one message become observations: unit, time, subject, quality (design sections 3 and 5). Pure."""

from __future__ import annotations

from math import isfinite

from catalogue.formats.decoded import Decoded, Reading
from contracts.errors import Code, Rejected
from contracts.frames import RawMessage
from contracts.ids import observation_id
from contracts.instants import DAY, MINUTE
from contracts.loans import borrower
from contracts.observation import Observation, Quality
from streams.directory import Route
from streams.judging import Judgement, judge

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


class Taken:
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


def observe(route: Route, message: RawMessage, decoded: Decoded, index: int, taken: Taken) -> None:
    """Take the readings of one message.

    Args:
        route: of its topic.
        message: as it came.
        decoded: its readings.
        index: its position in the raw frame.
        taken: filled.

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
            loan = borrower(route.loans, effective_at)
            if loan is None:
                raise _unassigned(reading)
            subject, partition = loan.subject, loan.partition
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
    """Convert to the canonical unit."""
    value = judgement.convert(reading.value)
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


def _unassigned(reading: Reading) -> Rejected:
    words = "no subject, or more than one, had the device on loan at the reading's time"
    return Rejected(Code.UNASSIGNED, words, f"{reading.path}.time")
