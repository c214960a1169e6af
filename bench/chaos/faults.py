"""Does what the plan says to one part, and waits until the part itself is back."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from bench.chaos.plan import Fault, Kind, twin_of
from bench.chaos.proxy import Link
from contracts.instants import SECOND
from deploy.local.child import Identity

STOP_SIGNALS = {"postgres": signal.SIGINT}
STOP_SECONDS = 20.0
BACK_SECONDS = 90.0
SLOW_DELAY_SECONDS = 0.25
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 30.0
ATTEMPTS = 3
"""So often a process that died by itself in the very moment is waited for and disturbed again."""


@dataclass
class Happened:
    """A fault, and what came of it.

    Attributes:
        fault: which.
        began: seconds into the load.
        acted: instant in microseconds at which it was felt: signalled, or the first connection met; 0 as long as it was not.
        met: the process or link that it was really done to; empty as long as there was none.
        ended: instant in microseconds at which the part was free to work again: killed, woken, or its link mended.
        back: seconds from then until the part answered; None where it did not, or where there was no part to ask (a link).
        stored: seconds from then until every device had a reading of later stored; None as long as that is not so.
        released: seconds until every consenting device had one on the app's topic; likewise.
        answered: seconds until the gateway answered a query that was asked later; likewise.
        done: whether it met anything: a process that ran, or a connection.
        touched: of a link, how many connections were reset, refused or held back.
        remark: what was unusual.
    """

    fault: Fault
    began: float
    acted: int = 0
    met: str = ""
    ended: int = 0
    back: float | None = None
    stored: float | None = None
    released: float | None = None
    answered: float | None = None
    done: bool = False
    touched: int = 0
    remark: str = ""

    @property
    def recovered(self) -> bool:
        """Whether everything goes on as if nothing had been."""
        return None not in (self.stored, self.released, self.answered)

    @property
    def lasted_until(self) -> int:
        """Instant in microseconds until which the part itself was away; 0 as long as that is not known."""
        return self.ended and self.ended + round((self.back or 0.0) * SECOND)

    @property
    def over(self) -> float | None:
        """Seconds from its end until all went on; None where it did not."""
        if self.stored is None or self.released is None or self.answered is None:
            return None
        return max(self.back or 0.0, self.stored, self.released, self.answered)


class Disturbed(Protocol):
    """What faults are done to: the platform, or a test's."""

    async def signal(self, name: str, number: signal.Signals) -> Identity | None:
        """Send a process a signal; tells which one got it."""

    async def wait_gone(self, identity: Identity, seconds: float) -> bool:
        """Wait until a process has ended."""

    async def wait_answer(self, name: str, seconds: float) -> bool:
        """Wait until a process or server does its work."""

    def link(self, name: str) -> Link:
        """Give a link."""


class Faults:
    """Disturbs one part after the other, and several at a time where they overlap."""

    def __init__(self, platform: Disturbed, clock: Callable[[], int], patience: float = PATIENCE_SECONDS) -> None:
        """Prepare it.

        Args:
            platform: what to disturb.
            clock: gives the present in microseconds.
            patience: seconds for which a link is watched for a connection that the fault could touch.
        """
        self._platform = platform
        self._clock = clock
        self._patience = patience
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def do(self, happened: Happened) -> None:
        """Do a fault; one on the same part is waited for, and so is the part where it does not run just now."""
        fault = happened.fault
        if fault.kind in (Kind.CUT, Kind.SLOW):
            await self._disturb_link(happened)
            return
        async with self._busy[fault.target]:
            for _ in range(ATTEMPTS):
                if not await self._platform.wait_answer(fault.target, BACK_SECONDS):
                    happened.remark = "it did not run, and nothing was done"
                elif await (self._freeze(happened) if fault.kind is Kind.FREEZE else self._end(happened)):
                    happened.done, happened.met = True, fault.target
                    break
            ended = happened.ended = happened.ended or self._clock()
            if await self._platform.wait_answer(fault.target, BACK_SECONDS):
                happened.back = (self._clock() - ended) / 1e6

    async def _disturb_link(self, happened: Happened) -> None:
        """Disturb a link; one that nobody uses, since its process stands by, says nothing, but its twin's does."""
        target = happened.fault.target
        for name in filter(None, (target, twin_of(target))):
            async with self._busy[name]:
                happened.touched = await self._touch(self._platform.link(name), happened)
            if happened.touched:
                happened.done, happened.met = True, name
                happened.remark = "" if name == target else f"nothing came by it, so {name} was meant instead"
                break
            happened.remark = "nothing came by it, and nothing was done"
        happened.ended = self._clock()

    async def _touch(self, link: Link, happened: Happened) -> int:
        """Disturb a link for the fault's time, counted from the first connection that it met.

        Returns:
            How many it met.
        """
        fault = happened.fault
        if fault.kind is Kind.CUT:
            link.cut()
        else:
            link.slow(SLOW_DELAY_SECONDS)
        deadline = asyncio.get_running_loop().time() + self._patience
        try:
            while not link.touched and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - the proxy counts
                await asyncio.sleep(LOOK_SECONDS)
            if link.touched:
                happened.acted = self._clock()
                await asyncio.sleep(fault.seconds)
        finally:
            link.mend()
        return link.touched

    async def _freeze(self, happened: Happened) -> bool:
        """Freeze a process and wake it; tells whether there was one."""
        target = happened.fault.target
        frozen = await self._platform.signal(target, signal.SIGSTOP)
        if frozen is None:
            happened.remark = "it had just died by itself"
            return False
        happened.acted = self._clock()
        try:
            await asyncio.sleep(happened.fault.seconds)
        finally:
            woken = await self._platform.signal(target, signal.SIGCONT)
        happened.ended = self._clock()
        if frozen != woken:
            happened.remark = "it did not live through being frozen"
        return True

    async def _end(self, happened: Happened) -> bool:
        """Kill a process, or ask it to end; tells whether there was one."""
        target = happened.fault.target
        number = signal.SIGKILL if happened.fault.kind is Kind.KILL else STOP_SIGNALS.get(target, signal.SIGTERM)
        identity = await self._platform.signal(target, number)
        if identity is None:
            happened.remark = "it had just died by itself"
            return False
        happened.acted = self._clock()
        if not await self._platform.wait_gone(identity, STOP_SECONDS):
            happened.remark = f"it did not end within {STOP_SECONDS:.0f} s of being asked, and was killed"
            identity.signal(signal.SIGKILL)
        happened.ended = self._clock()
        return True


def undone(happened: Iterable[Happened]) -> list[str]:
    """Name the faults that did nothing: a run that survives those has shown nothing by them.

    Args:
        happened: all faults, after the run.

    Returns:
        Each with its number and why.
    """
    return [f"{one.fault.number}: {one.fault} ({one.remark or 'not begun'})" for one in happened if not one.done]


def unmet(happened: Iterable[Happened]) -> list[str]:
    """Name what was dealt and met nobody of its own, as on the link of a process that stood by: its twin was met instead.

    Args:
        happened: all faults, after the run.

    Returns:
        Kind and target, each once, in the order of the plan.
    """
    happened = list(happened)
    met = {(one.fault.kind, one.met) for one in happened}
    return list(
        dict.fromkeys(f"{one.fault.kind} {one.fault.target}" for one in happened if (one.fault.kind, one.fault.target) not in met)
    )
