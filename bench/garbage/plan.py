"""What is sent in a run of garbage: kinds, devices and payloads in the order a seed gives. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from itertools import accumulate
from random import Random
from typing import NamedTuple

from bench.garbage.kinds import KINDS, Kind, Moment

CORRELATION_BYTES = 8


class Planned(NamedTuple):
    """One message of garbage.

    Attributes:
        number: its place in the run, from 0.
        kind: what is wrong with it.
        stream: levels of its topic behind ``up/``.
        payload: its bytes.
    """

    number: int
    kind: Kind
    stream: str
    payload: bytes

    @property
    def correlation(self) -> bytes:
        """Its correlation data, by which it is found again."""
        return correlation(self.number)


def correlation(number: int) -> bytes:
    """Write a number as correlation data."""
    return number.to_bytes(CORRELATION_BYTES, "big")


class Plan:
    """The messages of a run; remembers of each its kind alone, a byte.

    Args:
        count: how many.
        seed: the same gives the same kinds and payloads but for the present time in them.
        now: gives the present as RFC 3339 in UTC.
    """

    def __init__(self, count: int, seed: int, now: Callable[[], str]) -> None:
        self.count = count
        self._seed = seed
        self._now = now
        self._kinds = array("B")

    def __iter__(self) -> Iterator[Planned]:
        """Make them, one after the other."""
        chance = Random(self._seed)  # noqa: S311 - reproducible, not secret
        weights = list(accumulate(kind.weight for kind in KINDS))
        self._kinds = array("B")
        for number in range(self.count):
            place = chance.choices(range(len(KINDS)), cum_weights=weights)[0]
            self._kinds.append(place)
            kind = KINDS[place]
            yield Planned(number, kind, kind.stream(chance), kind.make(chance, Moment(self._now(), number)))

    def kind(self, number: int) -> Kind:
        """Tell what a message that was made is."""
        return KINDS[self._kinds[number]]

    @property
    def made(self) -> int:
        """How many were made so far."""
        return len(self._kinds)
