"""Counts for the ledger: what became of each message and reading. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

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


class Reclassified(NamedTuple):
    """Messages of one raw record that count as accepted from now on: those that were duplicates, and those quarantined."""

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


def message_outcome(outcomes: bytearray, part: Part) -> int:
    """Give a message's outcome: stored if any of its readings was, else quarantined if any was, else duplicate."""
    found = outcomes[part.first : part.end]
    if STORED in found:
        return STORED
    return QUARANTINED if QUARANTINED in found else DUPLICATE


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
    messages = {STORED: 0, DUPLICATE: 0, QUARANTINED: 0}
    for part in record.parts:
        if part.owner:
            messages[message_outcome(outcomes, part)] += 1
    found = outcomes[record.start : record.end]
    return Counts(
        messages[STORED],
        messages[DUPLICATE],
        messages[QUARANTINED],
        found.count(STORED),
        found.count(DUPLICATE),
        found.count(QUARANTINED),
    )


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
    """Add to what changes per device that messages count as accepted instead.

    Which they are is not written down; those of the batch that the store found to be duplicates are the likeliest.
    """
    for key, found in changed.items():
        devices = _devices_of(key, batch, outcomes)
        columns = [_DUPLICATE] * found.duplicate + [_QUARANTINED] * found.quarantined
        for place, column in enumerate(columns):
            org, device = devices[place] if place < len(devices) else devices[-1]
            row = deltas.setdefault((found.hour, org, device), [0] * len(DEVICE_COUNTS))
            row[column] -= 1
            row[_ACCEPTED] += 1


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
