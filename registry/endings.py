"""What ended by Kafka's registry topics and goes on by the tables: in a database that was restored from a backup. Pure.

A permission that ended stays ended. So where the database does not know what Kafka holds of a key, or was changed by hand below
it, a withdrawal, a revocation, a retirement and the end of a loan are taken over. Where the database knew it and went on from
there (a retired device that was enrolled again), the database is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from contracts.registry import AppRecord, ConsentRecord, DeviceRecord, Loan, Period, Record

Key = tuple[str, str]
"""Topic and key."""
R = TypeVar("R", bound=Record)


class Standing(Enum):
    """How the database stands to what Kafka holds of a key."""

    LEVEL = auto()
    """It is the newest that the outbox has."""
    AHEAD = auto()
    """The outbox went on from there."""
    BEHIND = auto()
    """The outbox does not know it."""


class Withdrawn(NamedTuple):
    """A consent was withdrawn.

    Attributes:
        consent: its id.
        revision: number of its newest revision in Kafka.
        at: microseconds; None where a later revision stands in Kafka that is no withdrawal, but whose text is lost.
    """

    consent: str
    revision: int
    at: int | None


class Revoked(NamedTuple):
    """An app was revoked."""

    app: str


class Cut(NamedTuple):
    """A loan was ended, corrected or taken back; of its span this much is left."""

    loan: Loan
    left: tuple[Period, ...]


class Returned(NamedTuple):
    """A device was retired, or loans of it were ended.

    Attributes:
        device: as the tables have it.
        retired: whether it is to be retired.
        cuts: loans that are to be narrowed.
    """

    device: DeviceRecord
    retired: bool
    cuts: tuple[Cut, ...]


Ending = Withdrawn | Revoked | Returned


def standing(held: Mapping[str, Any], newest: tuple[int, Mapping[str, Any] | None] | None, *, in_outbox: bool) -> Standing:
    """Tell how the database stands to a record of Kafka.

    Args:
        held: the record.
        newest: version and value of the outbox's newest record of the same key, or None.
        in_outbox: whether the outbox has ``held`` under its version, or may be taken to have had it.
    """
    version = held.get("version")
    if newest is None or not isinstance(version, int) or version > newest[0]:
        return Standing.BEHIND
    if version == newest[0]:
        return Standing.LEVEL if newest[1] == held else Standing.BEHIND
    return Standing.AHEAD if in_outbox else Standing.BEHIND


def find(
    tables: Mapping[Key, Record], held: Mapping[Key, Mapping[str, Any]], standings: Mapping[Key, Standing]
) -> Iterator[Ending]:
    """Find what ended by Kafka and goes on by the tables.

    Args:
        tables: a record for everything that exists.
        held: what Kafka holds, parsed.
        standings: by key, of what Kafka holds.

    Yields:
        What is to be brought into the tables.
    """
    for key in sorted(tables.keys() & held.keys()):
        table, value = tables[key], held[key]
        if isinstance(table, ConsentRecord):
            yield from _withdrawn(table, _read(ConsentRecord, value))
        elif isinstance(table, AppRecord):
            there = _read(AppRecord, value)
            if there is not None and table.active and not there.active:
                yield Revoked(table.app)
        elif isinstance(table, DeviceRecord) and standings[key] is not Standing.AHEAD:
            yield from _returned(table, _read(DeviceRecord, value), behind=standings[key] is Standing.BEHIND)


def _read(model: type[R], value: Mapping[str, Any]) -> R | None:
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def _withdrawn(table: ConsentRecord, there: ConsentRecord | None) -> Iterator[Withdrawn]:
    """Revisions are only ever added: whatever the outbox says, a later one that the table lacks was lost."""
    if there is None or table.withdrawn_at is not None:
        return
    if there.withdrawn_at is not None or there.revision > table.revision:
        yield Withdrawn(table.consent, there.revision, there.withdrawn_at)


def _returned(table: DeviceRecord, there: DeviceRecord | None, *, behind: bool) -> Iterator[Returned]:
    if there is None:
        return
    cuts = []
    for loan in table.loans:
        left = tuple(shared for other in there.loans if other.subject == loan.subject and (shared := _shared(loan, other)))
        # A loan that Kafka has nothing of was taken back, unless the database is not behind: then it was entered by hand.
        if left != (Period(start=loan.start, end=loan.end),) and (left or behind):
            cuts.append(Cut(loan, left))
    retired = there.retired and not table.retired
    if retired or cuts:
        yield Returned(table, retired, tuple(cuts))


def _shared(one: Period, other: Period) -> Period | None:
    start = max(one.start, other.start)
    ends = [period.end for period in (one, other) if period.end is not None]
    end = min(ends, default=None)
    return None if end is not None and end <= start else Period(start=start, end=end)
