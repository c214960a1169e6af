"""What the normaliser remembers of the last moments: readings seen, and warnings given. Bounded, best effort. Pure.

The store's unique index has the last word on duplicates (design section 5, 7); this spares it what devices send again at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.errors import Code
from contracts.instants import HOUR
from contracts.observation import Observation

Place = tuple[int, int]
"""Offset of a raw record, and index of a message in it."""


Memory = dict[bytes, tuple[float, Place]]
"""By id of a reading: its value, and where it came first."""


class Recent:
    """Recent readings of the devices of one raw partition, and the place that first brought each.

    A place that comes again is no duplicate of itself: the outputs of its first pass may never have been confirmed.

    Of each device there are two memories, the newer and the one before. When the newer has as many readings as asked for, the
    older is dropped whole: to drop readings one by one costs more than all the rest here. A message of more readings than that
    is not remembered: thousands of devices that each upload thousands of readings at once would fill the process's memory.
    """

    __slots__ = ("_devices", "_least")

    def __init__(self, least: int) -> None:
        """Prepare it.

        Args:
            least: readings remembered per device at least, and less than three times as many; 0 for no memory.
        """
        self._least = least
        self._devices: dict[str, tuple[Memory, Memory]] = {}

    def known(self, device: str, observations: Sequence[Observation], place: Place) -> bool:
        """Tell whether another message brought all of these already, with the same values; remember them if not.

        Args:
            device: ``<org>/<device>``.
            observations: of one message.
            place: where the message stands.

        Returns:
            True for a duplicate.
        """
        if len(observations) > self._least:
            return False
        memories = self._devices.get(device)
        if memories is None:
            memories = self._devices[device] = ({}, {})
        newer, older = memories
        first = observations[0].id
        if (first in newer or first in older) and _all_known(newer, older, observations, place):
            return True
        for observation in observations:
            identifier = observation.id
            if identifier not in newer and identifier not in older:
                newer[identifier] = (observation.value, place)
        if len(newer) >= self._least:
            self._devices[device] = ({}, newer)
        return False


def _all_known(newer: Memory, older: Memory, observations: Sequence[Observation], place: Place) -> bool:
    for observation in observations:
        known = newer.get(observation.id) or older.get(observation.id)
        if known is None or known[0] != observation.value or known[1] == place:
            return False
    return True


class Warnings:
    """Which warnings a device was given lately, so that one wrong field is not reported with every message."""

    __slots__ = ("_given", "_limit")

    def __init__(self, limit: int = 20_000) -> None:
        """Prepare it.

        Args:
            limit: warnings remembered.
        """
        self._limit = limit
        self._given: dict[tuple[str, str, Code, str], int] = {}

    def due(self, org: str, device: str, code: Code, field: str, now: int) -> bool:
        """Tell whether a warning is to be given, and remember that it was.

        Args:
            org: organisation.
            device: device.
            code: what it warns about.
            field: where.
            now: instant in microseconds.

        Returns:
            True when the device was not given it within the last hour.
        """
        key = (org, device, code, field)
        given = self._given.pop(key, None)
        due = given is None or now - given >= HOUR
        self._given[key] = now if due or given is None else given
        if len(self._given) > self._limit:
            del self._given[next(iter(self._given))]
        return due
