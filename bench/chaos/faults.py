"""Does what the plan says to one part, and waits until the part itself is back."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from bench.chaos.plan import Fault, Kind
from bench.chaos.platform import Platform

STOP_SIGNALS = {"postgres": signal.SIGINT}
STOP_SECONDS = 20.0
BACK_SECONDS = 90.0
SLOW_DELAY_SECONDS = 0.25


@dataclass
class Happened:
    """A fault that was done.

    Attributes:
        fault: which.
        began: seconds into the load.
        ended: instant in microseconds at which the part was free to work again: killed, woken, or its link mended.
        back: seconds from then until the part answered; None where it did not, or where there was no part to ask (a link).
        stored: seconds from then until every device had a reading of later stored; None as long as that is not so.
        released: seconds until every consenting device had one on the app's topic; likewise.
        answered: seconds until the gateway answered a query that was asked later; likewise.
        remark: what was unusual.
    """

    fault: Fault
    began: float
    ended: int = 0
    back: float | None = None
    stored: float | None = None
    released: float | None = None
    answered: float | None = None
    remark: str = ""

    @property
    def recovered(self) -> bool:
        """Whether everything goes on as if nothing had been."""
        return None not in (self.stored, self.released, self.answered)


class Faults:
    """Disturbs one part after the other, and several at a time where they overlap."""

    def __init__(self, platform: Platform, clock: Callable[[], int]) -> None:
        """Prepare it.

        Args:
            platform: what to disturb.
            clock: gives the present in microseconds.
        """
        self._platform = platform
        self._clock = clock
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def do(self, happened: Happened) -> None:
        """Do a fault; one on the same part is waited for."""
        fault = happened.fault
        async with self._busy[fault.target]:
            if fault.kind in (Kind.CUT, Kind.SLOW):
                await self._disturb_link(happened)
                return
            if not await self._platform.wait_answer(fault.target, BACK_SECONDS):
                happened.remark = "it did not run, and nothing was done"
            elif fault.kind is Kind.FREEZE:
                await self._freeze(happened)
            else:
                await self._end(happened)
            ended = happened.ended = happened.ended or self._clock()
            if await self._platform.wait_answer(fault.target, BACK_SECONDS):
                happened.back = (self._clock() - ended) / 1e6

    async def _disturb_link(self, happened: Happened) -> None:
        fault = happened.fault
        proxy = self._platform.proxy(fault.target)
        if fault.kind is Kind.CUT:
            proxy.cut(fault.target)
        else:
            proxy.slow(fault.target, SLOW_DELAY_SECONDS)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            proxy.mend(fault.target)
        happened.ended = self._clock()

    async def _freeze(self, happened: Happened) -> None:
        target = happened.fault.target
        frozen = await self._platform.signal(target, signal.SIGSTOP)
        try:
            await asyncio.sleep(happened.fault.seconds)
        finally:
            woken = await self._platform.signal(target, signal.SIGCONT)
        happened.ended = self._clock()
        if frozen != woken:
            happened.remark = "it did not live through being frozen"

    async def _end(self, happened: Happened) -> None:
        target = happened.fault.target
        number = signal.SIGKILL if happened.fault.kind is Kind.KILL else STOP_SIGNALS.get(target, signal.SIGTERM)
        identity = await self._platform.signal(target, number)
        if identity is None:
            happened.remark = "it had just died by itself"
        elif not await self._platform.wait_gone(identity, STOP_SECONDS):
            happened.remark = f"it did not end within {STOP_SECONDS:.0f} s of being asked, and was killed"
            identity.signal(signal.SIGKILL)
        happened.ended = self._clock()
