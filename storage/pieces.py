"""Vitals records taken apart: what each holds of which raw record, and of which message. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from contracts.frames import Origin, origins_of
from contracts.instants import hour_of
from contracts.observation import Observation


class KafkaRecord(Protocol):
    """What the store needs of a record, as aiokafka gives it."""

    @property
    def topic(self) -> str: ...  # noqa: D102
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


class Source(NamedTuple):
    """Key of a vitals record in the ledger: a second pass over the same raw record has the same."""

    raw_partition: int
    raw_offset: int
    vitals_partition: int


class Part(NamedTuple):
    """The observations of one message within a vitals record: positions ``first`` to ``end`` (exclusive) of the batch.

    ``message`` is its number in the raw record; ``owner`` tells whether the vitals record accounts for it.
    """

    org: str
    device: str
    hour: int
    owner: bool
    first: int
    end: int
    message: int = 0


class VitalsRecord(NamedTuple):
    """What a record of the vitals topic holds of one raw record: observations ``start`` to ``end`` (exclusive) of the batch.

    Attributes:
        source: its key in the ledger.
        offset: of the vitals record.
        parts: its messages.
        start: position of its first observation in the batch.
        end: position behind the last.
        base: position of the first observation of the whole vitals record.
    """

    source: Source
    offset: int
    parts: list[Part]
    start: int
    end: int
    base: int


def pieces_of(record: KafkaRecord, observations: list[Observation], base: int) -> tuple[list[Observation], list[VitalsRecord]]:
    """Take a vitals record apart.

    Args:
        record: the record.
        observations: that it holds.
        base: their position in the batch.

    Returns:
        The observations, those of a message together, and a piece for each raw record.

    Raises:
        ValueError: the header is missing, malformed, or tells of other observations.
    """
    origins = origins_of(record.headers)
    if sum([one.readings for one in origins]) != len(observations):
        raise ValueError("the origins tell of other observations")
    taken: list[Observation] = []
    pieces = []
    for origin in origins:
        start = base + len(taken)
        own = observations[start - base : start - base + origin.readings]
        try:
            parts = _parts(own, start)
        except _OutOfOrder:
            own = sorted(own, key=lambda one: one.message)
            parts = _parts(own, start)
        taken += own
        pieces.append(VitalsRecord(source(origin, record), record.offset, parts, start, start + len(own), base))
    return taken, pieces


_BEFORE_ALL = -(2**63) - 1


class _OutOfOrder(Exception):
    """The observations of a message do not stand together."""


def _parts(observations: Sequence[Observation], start: int) -> list[Part]:
    parts: list[Part] = []
    message = _BEFORE_ALL
    first = None
    begun = end = start
    for one in observations:
        if one.message != message:
            if one.message < message:
                raise _OutOfOrder
            if first is not None:
                parts.append(Part(first.org, first.device, hour_of(first.received_at), first.owner, begun, end, message))
            first, message, begun = one, one.message, end
        end += 1
    if first is not None:
        parts.append(Part(first.org, first.device, hour_of(first.received_at), first.owner, begun, end, message))
    if parts and parts[0].message < 0:
        raise ValueError("the number of a message is below zero")
    return parts


def sources_of(record: KafkaRecord) -> list[tuple[Source, Origin]]:
    """Read which raw records a vitals record was made from, with its key in the ledger for each.

    Raises:
        ValueError: when its header is missing or malformed.
    """
    return [(source(origin, record), origin) for origin in origins_of(record.headers)]


def source(origin: Origin, record: KafkaRecord) -> Source:
    """Give the key in the ledger of what a vitals record holds of a raw record."""
    return Source(origin.partition, origin.offset, record.partition)
