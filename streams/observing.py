"""The readings of one message become observations: unit, time, subject, quality (design sections 3 and 5). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import msgspec

from catalogue.formats.decoded import Decoded, Reading
from catalogue.units import DECIMALS
from contracts.errors import Code, Rejected
from contracts.frames import RawMessage
from contracts.ids import id_of, identity_end, identity_part
from contracts.instants import DAY, MINUTE
from contracts.loans import Lent, borrower
from contracts.observation import MAX_SITES, Observation, Quality
from streams.directory import Route
from streams.judging import judge

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


NO_SITE = identity_part("")


class Taken(msgspec.Struct, frozen=True):
    """The observations of one message.

    Attributes:
        observations: in the order of its readings; at least one.
        partitions: of their subjects, likewise. The record for the first one's accounts for the message.
    """

    observations: list[Observation]
    partitions: list[int]


def observe(route: Route, message: RawMessage, decoded: Decoded, index: int) -> Taken:
    """Take the readings of one message.

    What its readings have in common, time above all, is worked out once.

    Args:
        route: of its topic.
        message: as it came.
        decoded: its readings.
        index: its position in the raw frame.

    Returns:
        Their observations.

    Raises:
        Rejected: when one cannot be taken.
    """
    org, device, received_at, whose = route.org, route.device, message.received_at, route.identity
    test = TEST_DATA if decoded.test else 0
    components: set[tuple[int, str]] = set()
    made: list[Observation] = []
    partitions: list[int] = []
    time: int | None = None
    number: int | None = None
    effective_at = timing = partition = changes = 0
    subject, site, where, end = "", "", NO_SITE, b""
    for reading in decoded.readings:
        vital, unit, same, scale, offset, low, high, what = judge(reading)
        value = reading.value if same else round(scale * reading.value + offset, DECIMALS)
        quality = test if low <= value <= high else test | _implausible(value, reading)
        if reading.panel:
            _refuse_twice(components, reading, vital)
        if reading.time != time:
            time, number = reading.time, None
            effective_at, timing = _timing(route, reading, received_at)
            loan = _borrowed(route, reading, effective_at)
            subject, partition = loan.subject, loan.partition
        partitions.append(partition)
        quality |= timing
        if reading.estimated:
            quality |= ESTIMATED
        sequence = reading.sequence
        if sequence is None:
            sequence = reading.position
        else:
            quality |= SEQUENCED
        if sequence != number:
            number, end = sequence, identity_end(time, sequence)
        if reading.site != site:
            site = reading.site
            where = identity_part(site)
            changes += 1
            if changes == MAX_SITES + 1:  # before, there cannot be more sites than that
                _refuse_many_sites(decoded.readings)
        made.append(
            Observation(
                id_of(whose + what + where + end), org, device, subject, vital, site, value, unit, time, effective_at,
                received_at, sequence, quality, index, partition == partitions[0], reading.panel,
            )
        )  # fmt: skip
    return Taken(made, partitions)


def _implausible(value: float, reading: Reading) -> int:
    """Flag a value, or refuse it where a conversion made it too large for any number: only one out of range can be that."""
    if not isfinite(value):
        raise Rejected(Code.VALUE_NOT_FINITE, field=f"{reading.path}.value")
    return IMPLAUSIBLE


def _refuse_twice(components: set[tuple[int, str]], reading: Reading, vital: str) -> None:
    component = (reading.position, vital)
    if component in components:
        raise Rejected(Code.PANEL_INVALID, "the panel holds this component twice", f"{reading.path}.code")
    components.add(component)


def _refuse_many_sites(readings: Sequence[Reading]) -> None:
    """Refuse a message that names more sites than a device may have, before its readings are on their way to apps and store."""
    sites: set[str] = set()
    for reading in readings:
        if reading.site:
            sites.add(reading.site)
        if len(sites) > MAX_SITES:
            words = f"the message names more than {MAX_SITES} sites"
            raise Rejected(Code.SITES_EXCEEDED, words, f"{reading.path.partition('.components')[0]}.site")


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


def _borrowed(route: Route, reading: Reading, effective_at: int) -> Lent:
    """Find whose the reading is, once an instant."""
    if effective_at >= route.retired_at:
        raise Rejected(Code.DEVICE_RETIRED, field=f"{reading.path}.time")
    loan = borrower(route.loans, effective_at)
    if loan is None:
        raise _unassigned(reading)
    return loan


def _unassigned(reading: Reading) -> Rejected:
    words = "no subject, or more than one, had the device on loan at the reading's time"
    return Rejected(Code.UNASSIGNED, words, f"{reading.path}.time")
