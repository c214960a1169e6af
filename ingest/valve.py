"""Closes the entrance while a disk that a server writes on is nearly full.

Kafka ends when its disk is full, and PostgreSQL when its log has no room; both need a person then. mosquitto goes on, but can no
longer save what it would forget when it ends. So nothing more is let in while there is still room to finish what is inside:
messages stay in the broker, whose queue is bounded, and devices keep what has no receipt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from ingest import events
from runtime import clock
from runtime.disks import Disk, look

LOOK_SECONDS = 1.0
OPENS_AT = 11, 10
"""So many parts of the least free space are needed for it to open again, so that it does not flutter."""
MIB = 1024 * 1024


def low(were_low: frozenset[Path], disks: Iterable[Disk], least: int) -> frozenset[Path]:
    """Decide which folders lie on a disk that is nearly full; pure. One of them is enough to close the entrance.

    Args:
        were_low: those that did.
        disks: what is free. A folder on none of them could not be looked at, and stays what it was.
        least: bytes that must be free on each.

    Returns:
        Those that do now.
    """
    enough = least * OPENS_AT[0] // OPENS_AT[1]
    free = {folder: disk.free for disk in disks for folder in disk.folders}
    now = {folder for folder in free if free[folder] < (enough if folder in were_low else least)}
    return frozenset(now | (were_low - free.keys()))


class Valve:
    """Watches the free space.

    Args:
        folders: on the disks in question; those on one file system are looked at together.
        least_bytes: what must be free on each.
        changed: called when the entrance is closed or opened.

    Attributes:
        since: when it was closed, microseconds; None while it is open.
    """

    def __init__(self, folders: Iterable[Path], least_bytes: int, changed: Callable[[], None]) -> None:
        self.since: int | None = None
        self._folders = tuple(folders)
        self._least_bytes = least_bytes
        self._changed = changed
        self._low: frozenset[Path] = frozenset()
        self._unknown: frozenset[Path] = frozenset()

    @property
    def shut(self) -> bool:
        """Whether it is closed."""
        return self.since is not None

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            self._look()
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self) -> None:
        disks, unknown = look(self._folders)
        for folder in unknown.keys() - self._unknown:
            events.DISK_UNKNOWN.emit(folder=str(folder), reason=unknown[folder])
        self._unknown = frozenset(unknown)
        were_low, self._low = self._low, low(self._low, disks, self._least_bytes)
        for disk in disks:
            self._tell(disk, were_low)
        if bool(self._low) is self.shut:
            return
        self.since = clock.now() if self._low else None
        self._changed()

    def _tell(self, disk: Disk, were_low: frozenset[Path]) -> None:
        for folder in disk.folders:
            events.DISK_FREE.labels(str(folder)).set(disk.free)
        if filled := [str(folder) for folder in disk.folders if folder in self._low - were_low]:
            events.DISK_LOW.emit(folders=filled, free_mib=disk.free // MIB, least_mib=self._least_bytes // MIB)
        if emptied := [str(folder) for folder in disk.folders if folder in were_low - self._low]:
            events.DISK_ENOUGH.emit(folders=emptied, free_mib=disk.free // MIB)
