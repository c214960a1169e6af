"""Closes the entrance while the disk that the servers write on is nearly full.

Kafka ends when its disk is full, and PostgreSQL when its log has no room; both need a person then. So nothing more is let in
while there is still room to finish what is inside: messages stay in the broker, whose queue is bounded, and devices keep what has
no receipt.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from ingest import events
from runtime import clock

LOOK_SECONDS = 1.0
OPENS_AT = 11, 10
"""So many parts of the least free space are needed for it to open again, so that it does not flutter."""
MIB = 1024 * 1024


def shut(was_shut: bool, free: int, least: int) -> bool:
    """Decide whether the entrance is closed; pure.

    Args:
        was_shut: whether it was.
        free: bytes that are free.
        least: bytes that must be.

    Returns:
        True while nothing more may come in.
    """
    return free < (least * OPENS_AT[0] // OPENS_AT[1] if was_shut else least)


class Valve:
    """Watches the free space.

    Args:
        folder: on the disk in question; None watches nothing.
        least_bytes: what must be free.
        changed: called when the entrance is closed or opened.

    Attributes:
        since: when it was closed, microseconds; None while it is open.
    """

    def __init__(self, folder: Path | None, least_bytes: int, changed: Callable[[], None]) -> None:
        self.since: int | None = None
        self._folder = folder
        self._least_bytes = least_bytes
        self._changed = changed

    @property
    def shut(self) -> bool:
        """Whether it is closed."""
        return self.since is not None

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            if self._folder is not None:
                self._look(self._folder)
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self, folder: Path) -> None:
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            events.DISK_UNKNOWN.emit(reason=type(error).__name__)
            return  # what cannot be looked at closes nothing
        events.DISK_FREE.set(free)
        now_shut = shut(self.shut, free, self._least_bytes)
        if now_shut is self.shut:
            return
        self.since = clock.now() if now_shut else None
        if now_shut:
            events.DISK_LOW.emit(free_mib=free // MIB, least_mib=self._least_bytes // MIB)
        else:
            events.DISK_ENOUGH.emit(free_mib=free // MIB)
        self._changed()
