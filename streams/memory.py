"""What the normaliser remembers of the last moments: readings seen, and warnings given. Bounded, best effort. Pure.

The store's unique index has the last word on duplicates (design section 5, 7); this spares it what devices send again at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack

from contracts.errors import Code
from contracts.instants import HOUR
from contracts.observation import Observation

Memory = dict[bytes, int]
"""By the readings of a message, ids and values written one behind the other: where the message came first."""


class Recent:
    """Recent messages of the devices of one raw partition, and the place that first brought each.

    A place that comes again is no duplicate of itself: the outputs of its first pass may never have been confirmed.

    A message is known by its readings together, since a device that lacks a receipt sends the same message again; one that sends
    them in other company is left to the store. Two plain objects a message are kept: what is kept among what comes and goes costs
    whoever works there, and to keep each reading, with a value and a place, had cost as much as hashing the ids.

    Of each device there are two memories, the newer and the one before. When the newer has as many readings as asked for, the
    older is dropped whole: to drop messages one by one costs more than all the rest here. A message of more readings than that
    is not remembered: thousands of devices that each upload thousands of readings at once would fill the process's memory.
    """

    __slots__ = ("_devices", "_least")

    def __init__(self, least: int) -> None:
        """Prepare it.

        Args:
            least: readings remembered per device at least, and less than three times as many; 0 for no memory.
        """
        self._least = least
        self._devices: dict[str, _Device] = {}

    def known(self, device: str, observations: Sequence[Observation], place: int) -> bool:
        """Tell whether another message brought just these already, with the same values; remember them if not.

        Args:
            device: ``<org>/<device>``.
            observations: of one message.
            place: where the message stands, a number that no other message of the partition has.

        Returns:
            True for a duplicate.
        """
        count = len(observations)
        if count > self._least:
            return False
        memory = self._devices.get(device)
        if memory is None:
            memory = self._devices[device] = _Device()
        key = b"".join([one.id for one in observations]) + pack(f"{count}d", *[one.value for one in observations])
        first = memory.newer.get(key)
        if first is None:
            first = memory.older.get(key)
        if first is not None:
            return first != place
        memory.newer[key] = place
        memory.readings += count
        if memory.readings >= self._least:
            memory.older, memory.newer, memory.readings = memory.newer, {}, 0
        return False


class _Device:
    """What is remembered of a device; ``readings`` are those of the newer memory."""

    __slots__ = ("newer", "older", "readings")

    def __init__(self) -> None:
        self.newer: Memory = {}
        self.older: Memory = {}
        self.readings = 0


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
