"""The router's lease on what it knows of consents, apps and loans: without fresh heartbeats it may release nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from contracts.instants import SECOND
from contracts.registry import LEASE_SECONDS, WITHDRAWAL_SECONDS
from runtime.clock import elapsed
from sharing import events

LEASE = round(LEASE_SECONDS * SECOND)
AHEAD = LEASE
"""A heartbeat further in the future than this says that a clock was moved, and is no lease either."""
LOOK_SECONDS = 0.02


def seconds_until_last(heard_at: float, elapsed: float) -> float:
    """Say how long after a withdrawal something may still be appended under it, by a router that has not heard of it. Pure.

    It counts from when it was heard, which is later than its commit, and by a clock that nobody can set.

    Args:
        heard_at: when this router heard of it, by ``clock.elapsed``.
        elapsed: the present, by the same clock.

    Returns:
        Seconds; not above zero where nothing can follow any more.
    """
    return heard_at + WITHDRAWAL_SECONDS - elapsed


class Heard(Protocol):
    """What a lease hangs on."""

    @property
    def heartbeat_as_of(self) -> int:
        """Instant up to which everything is known, microseconds."""

    @property
    def heard_at(self) -> float:
        """When that was heard, by ``clock.elapsed``."""


class Lease:
    """Tells whether consents, apps and loans are known up to less than half a second ago.

    Asked anew right before each send: a process that was suspended wakes up with stale state and clocks that went on. Two clocks
    must agree. The wall clock tells how long a heartbeat was on its way; but set back it would make an old one young again, so
    none counts for longer than the lease by a clock that nobody can set.
    """

    def __init__(self, views: tuple[Heard, ...], clock: Callable[[], int], elapsed: Callable[[], float] = elapsed) -> None:
        """Make the lease.

        Args:
            views: all must be fresh.
            clock: gives the present in microseconds.
            elapsed: seconds of a clock that goes on steadily.
        """
        self._views = views
        self._clock = clock
        self._elapsed = elapsed
        self._holding = False

    def fresh(self) -> bool:
        """Tell whether something may be released at this very moment."""
        now, elapsed = self._clock(), self._elapsed()
        return all(
            -AHEAD < now - view.heartbeat_as_of < LEASE and elapsed - view.heard_at < LEASE_SECONDS for view in self._views
        )

    async def held(self, stopping: asyncio.Event) -> bool:
        """Wait until the lease is there.

        Args:
            stopping: ends the wait.

        Returns:
            True with the lease, False when stopped without it.
        """
        while not self.fresh():
            if not self._holding:
                self._tell(holding=True)
            events.LEASE_AGE.set(self._age_seconds())
            if stopping.is_set():
                return False
            await asyncio.sleep(LOOK_SECONDS)
        if self._holding:
            self._tell(holding=False)
        events.LEASE_AGE.set(self._age_seconds())
        return True

    def _tell(self, *, holding: bool) -> None:
        self._holding = holding
        events.HOLDING.set(int(holding))
        if holding:
            events.LEASE_LOST.emit(age_seconds=round(self._age_seconds(), 3))
        else:
            events.LEASE_REGAINED.emit()

    def _age_seconds(self) -> float:
        return (self._clock() - min(view.heartbeat_as_of for view in self._views)) / SECOND
