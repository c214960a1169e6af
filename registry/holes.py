"""Holes in the ledger: raw records that have no row although later ones have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from contracts.frames import Coordinates, RawFrame, RawMessage


class Known(NamedTuple):
    """A stretch of raw offsets ``[first, last]`` that have their row."""

    first: int
    last: int


class Gaps(NamedTuple):
    """What is missing.

    Attributes:
        offsets: missing raw offsets, lowest first, at most as many as were asked for.
        next: everything below is accounted for.
    """

    offsets: tuple[int, ...]
    next: int


def gaps(start: int, known: Sequence[Known], limit: int) -> Gaps:
    """Find missing offsets between a mark and the newest known one.

    Args:
        start: everything below is accounted for.
        known: stretches at or above ``start`` that have rows, lowest first, not touching each other.
        limit: how many to give at most.

    Returns:
        The missing offsets, and how far everything is there.
    """
    missing: list[int] = []
    at = start
    complete = start
    for stretch in known:
        if at == complete and stretch.first <= at:
            complete = max(complete, stretch.last + 1)
        missing += range(at, min(stretch.first, at + limit - len(missing)))
        at = max(at, stretch.last + 1)
    return Gaps(tuple(missing[:limit]), complete)


class Patience:
    """Remembers since when an offset is missing: a frame in flight is no hole."""

    def __init__(self, seconds: float) -> None:
        """Begin with nothing missing.

        Args:
            seconds: how long an offset must be missing to be a hole.
        """
        self._seconds = seconds
        self._since: dict[tuple[int, int], float] = {}

    def ripe(self, missing: Iterable[tuple[int, int]], now: float) -> list[tuple[int, int]]:
        """Tell which have been missing for long enough.

        Args:
            missing: partition and offset of all that are missing now; what is no longer among them is forgotten.
            now: seconds of a clock that never goes back.
        """
        self._since = {hole: self._since.get(hole, now) for hole in missing}
        return sorted(hole for hole, since in self._since.items() if now - since >= self._seconds)


def again(frame: RawFrame, source: Coordinates) -> RawFrame:
    """Make the frame by which a skipped record's messages are sent through again.

    Args:
        frame: what the record held.
        source: where it stands.

    Returns:
        The same messages, each naming the one it repeats; a message that was a replay already goes on naming its original.
    """
    return RawFrame([_again(message, f"{source}/{index}") for index, message in enumerate(frame.messages)])


def _again(message: RawMessage, place: str) -> RawMessage:
    return RawMessage(
        topic=message.topic,
        payload=message.payload,
        received_at=message.received_at,
        correlation=message.correlation,
        message_id=message.message_id,
        replay_of=message.replay_of or place,
    )
