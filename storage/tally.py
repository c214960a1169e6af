"""Counts for the ledger: what became of each message and reading. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from contracts.observation import Observation
from contracts.outcomes import RawOutcome
from storage.batch import Batch, RefusedVitals
from storage.pieces import Part, Source, VitalsRecord

STORED, DUPLICATE, QUARANTINED = 0, 1, 2
"""Outcomes of a reading at the store."""
DEVICE_COUNTS = (
    "received",
    "replayed",
    "accepted",
    "duplicate_normalise",
    "quarantined_normalise",
    "readings",
    "stored",
    "duplicate_store",
    "quarantined_store",
    "readings_stored",
    "readings_duplicate",
    "readings_quarantined",
)
"""Columns of ``ledger_devices`` beside its key, in the order of the lists that are added up here."""
_MESSAGES, _READINGS = 6, 9
DeviceKey = tuple[int, str, str]
"""Hour (instant), organisation, device."""
Deltas = dict[DeviceKey, list[int]]


RawKey = tuple[int, int]
"""Partition and offset of a raw record."""
_ACCEPTED, _DUPLICATE, _QUARANTINED = 2, 3, 4
_MOST_MESSAGES = 1 << 16
"""A frame of 512 KiB holds fewer; a greater number is of no record of ours."""
Accounted = dict[RawKey, dict[int, int]]
"""By raw record and vitals partition, which messages are accounted for there: bit n is message n; or ``UNSAID``."""
UNSAID = -1
"""Of a row that accounts for messages and does not say which: it was set aside whole, or is older than what says so."""


class Reclassified(NamedTuple):
    """Messages of one raw record that count as accepted from now on: those that were duplicates, and those quarantined.

    Below zero, so many no longer count as accepted.
    """

    hour: int
    duplicate: int
    quarantined: int


class Counts(NamedTuple):
    """What became of one vitals record: messages it accounts for, and readings, by outcome."""

    messages_stored: int
    messages_duplicate: int
    messages_quarantined: int
    readings_stored: int
    readings_duplicate: int
    readings_quarantined: int

    def plus(self, others: Counts | None) -> Counts:
        """Add others up with these."""
        return self if others is None else Counts(*map(sum, zip(self, others, strict=True)))


def message_outcome(outcomes: bytearray, part: Part) -> int:
    """Give a message's outcome: stored if any of its readings was, else quarantined if any was, else duplicate."""
    found = outcomes[part.first : part.end]
    if STORED in found:
        return STORED
    return QUARANTINED if QUARANTINED in found else DUPLICATE


def owned(record: VitalsRecord) -> int:
    """Give the messages that a vitals record accounts for: bit n is message n."""
    if not record.parts or record.parts[-1].message >= _MOST_MESSAGES:  # they stand in order
        return 0
    return sum([1 << part.message for part in record.parts if part.owner])


def perhaps_repeated(vitals: Iterable[VitalsRecord], outcomes: bytearray | None) -> set[RawKey]:
    """Find the raw records of which an earlier pass may have accounted for a message under another subject.

    The record that accounts for a message holds its first reading. That one is stored then, so here it is not; others may be,
    whose record of the earlier pass never came.
    """
    if outcomes is None:
        return set()
    return {
        record.source[:2]
        for record in vitals
        if any(part.owner and outcomes.count(STORED, part.first, part.end) < part.end - part.first for part in record.parts)
    }


def without_repeated(vitals: Iterable[VitalsRecord], accounted: Accounted) -> list[VitalsRecord]:
    """Leave out messages that another vitals record of the same raw record accounts for.

    Args:
        vitals: in the order in which they were stored.
        accounted: what the database has of the raw records that ``perhaps_repeated`` found.
    """
    left = []
    for record in vitals:
        places = accounted.get(record.source[:2])
        if places is not None:
            here = record.source.vitals_partition
            elsewhere = 0
            for partition, bits in places.items():
                if partition != here and bits != UNSAID:
                    elsewhere |= bits
            places.setdefault(here, owned(record) & ~elsewhere)
            if elsewhere:
                record = record._replace(
                    parts=[part for part in record.parts if not (part.owner and elsewhere >> part.message & 1)]
                )
        left.append(record)
    return left


def not_accounted(record: VitalsRecord, accounted: Accounted) -> VitalsRecord | None:
    """Give what a vitals record of a second pass holds beyond what its row and those beside it account for.

    The first pass may have named a message after somebody else, and been killed before that record reached Kafka.

    Args:
        record: whose source has its row.
        accounted: what the database has of its raw record.

    Returns:
        The rest of it, or None. A row that does not say which messages it accounts for is left as it is.
    """
    places = accounted[record.source[:2]]
    if places[record.source.vitals_partition] == UNSAID:
        return None
    known = 0
    for bits in places.values():
        if bits != UNSAID:
            known |= bits
    if not owned(record) & ~known:
        return None
    return record._replace(parts=[part for part in record.parts if part.owner and not known >> part.message & 1])


def stored_again(
    observations: Sequence[Observation], late: Iterable[VitalsRecord], outcomes: bytearray | None
) -> dict[tuple[str, str], tuple[int, int]]:
    """Find the readings that one more pass over their raw record brought into the store.

    A worker that stood still writes them when it wakes. Another one may have judged the record since by other loans and found
    that the readings are nobody's, or what it made of them was set aside; so whose they are has to be asked once more.

    Args:
        observations: of the batch.
        late: vitals records of the batch whose raw record another pass had accounted for.
        outcomes: of every reading of the batch; None when all were stored.

    Returns:
        By organisation and device, the first and the last device time, microseconds.
    """
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for record in late:
        for position in range(record.start, record.end):
            if outcomes is None or outcomes[position] == STORED:
                one = observations[position]
                first, last = found.get((one.org, one.device), (one.device_time, one.device_time))
                found[one.org, one.device] = min(first, one.device_time), max(last, one.device_time)
    return found


def count(record: VitalsRecord, outcomes: bytearray | None) -> Counts:
    """Count one vitals record.

    Args:
        record: the record.
        outcomes: of every reading of the batch; None when all were stored.

    Returns:
        Its counts.
    """
    if outcomes is None:
        return Counts(sum([part.owner for part in record.parts]), 0, 0, record.end - record.start, 0, 0)
    counts = [0] * 6
    for part in record.parts:
        if part.owner:
            counts[message_outcome(outcomes, part)] += 1
        found = outcomes[part.first : part.end]
        for outcome in (STORED, DUPLICATE, QUARANTINED):
            counts[3 + outcome] += found.count(outcome)
    return Counts(*counts)


def add_record(deltas: Deltas, record: VitalsRecord, outcomes: bytearray | None) -> None:
    """Add a vitals record to what changes per device."""
    for part in record.parts:
        key = part.hour, part.org, part.device
        row = deltas.get(key)
        if row is None:
            row = deltas[key] = [0] * len(DEVICE_COUNTS)
        if outcomes is None:
            row[_MESSAGES] += part.owner
            row[_READINGS] += part.end - part.first
            continue
        if part.owner:
            row[_MESSAGES + message_outcome(outcomes, part)] += 1
        found = outcomes[part.first : part.end]
        for outcome in (STORED, DUPLICATE, QUARANTINED):
            row[_READINGS + outcome] += found.count(outcome)


def add_refused(deltas: Deltas, refused: RefusedVitals) -> None:
    """Add a vitals record that was set aside whole; its devices are not known."""
    row = deltas.setdefault((refused.hour, "", ""), [0] * len(DEVICE_COUNTS))
    row[_MESSAGES + QUARANTINED] += refused.messages
    row[_READINGS + QUARANTINED] += refused.readings


def add_outcomes(deltas: Deltas, outcomes: Iterable[RawOutcome]) -> None:
    """Add ledger records to what changes per device."""
    for outcome in outcomes:
        for one in outcome.devices:
            key = outcome.hour, one.org, one.device
            row = deltas.get(key)
            if row is None:
                row = deltas[key] = [0] * len(DEVICE_COUNTS)
            row[0] += one.received
            row[1] += one.replayed
            row[2] += one.accepted
            row[3] += one.duplicate
            row[4] += one.quarantined
            row[5] += one.readings


def to_reclassify(new_outcomes: Iterable[RawOutcome], new: Iterable[Source]) -> set[RawKey]:
    """Find the raw records of which a message may have been accepted after all.

    Args:
        new_outcomes: ledger records that were new.
        new: vitals records that were new.
    """
    mixed: set[RawKey] = set()
    plain: set[RawKey] = set()
    for outcome in new_outcomes:
        refused = any(one.duplicate or one.quarantined for one in outcome.devices)
        (mixed if refused else plain).add((outcome.partition, outcome.offset))
    return mixed | {(source.raw_partition, source.raw_offset) for source in new} - plain


def add_reclassified(deltas: Deltas, changed: Mapping[RawKey, Reclassified], batch: Batch, outcomes: bytearray | None) -> None:
    """Add to what changes per device that messages count as accepted instead, or no longer.

    Which they are is not written down; those of the batch that the store found to be duplicates are the likeliest.
    """
    for key, found in changed.items():
        devices = _devices_of(key, batch, outcomes)
        columns = [_DUPLICATE] * abs(found.duplicate) + [_QUARANTINED] * abs(found.quarantined)
        more = 1 if found.duplicate + found.quarantined > 0 else -1
        for place, column in enumerate(columns):
            org, device = devices[place] if place < len(devices) else devices[-1]
            row = deltas.setdefault((found.hour, org, device), [0] * len(DEVICE_COUNTS))
            row[column] -= more
            row[_ACCEPTED] += more


def _devices_of(key: RawKey, batch: Batch, outcomes: bytearray | None) -> list[tuple[str, str]]:
    """List the devices whose messages may have been accepted after all, the likeliest first, one for each message."""
    for outcome in batch.outcomes:
        if (outcome.partition, outcome.offset) == key and (
            found := [(one.org, one.device) for one in outcome.devices for _ in range(one.duplicate + one.quarantined)]
        ):
            return found
    parts = [
        part for record in batch.vitals if (record.source.raw_partition, record.source.raw_offset) == key for part in record.parts
    ]
    parts.sort(key=lambda part: outcomes is None or message_outcome(outcomes, part) != DUPLICATE)
    return [(part.org, part.device) for part in parts if part.owner] or [("", "")]
