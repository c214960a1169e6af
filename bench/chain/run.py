"""The whole benchmark, step by step."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.chain import history, measure, peer, stages
from bench.chain.platform import OURS, Platform
from bench.chain.report import TELEGRAF
from bench.chain.runs import SEARCHING, Load, Run, Tell
from bench.chain.sessions import forget_session
from deploy.local.instance import Instance
from deploy.local.stack import Stack

CONNECTIONS = 50
"""Of the generator, each for a part of the devices."""
WARM_MESSAGES = 100_000
"""Sent before anything counts: Java compiles, pools fill, groups come together."""
STEADY_SECONDS = 20.0
"""How long a run at a fixed rate lasts at most, unless it is told how long."""
CHAIN = "chain"
LOADED = (0.5, 0.8)
"""Parts of the sustained rate at which latency is measured, too."""
Note = Callable[[list[Run], int], None]
"""Told after each run all runs so far, and how many rounds are complete."""


@dataclass(frozen=True)
class Options:
    """What the command was asked for.

    Attributes:
        messages: per run.
        devices: how many publish.
        rate: messages a second of the latency run; 0 leaves it out.
        loaded: whether latency is measured at half and at 80 % of the sustained rate, too.
        stages: what to measure: ``chain``, and single stages of ``stages.STAGES``.
        receipts: whether every message asks for a receipt.
        sharing: whether an app gets one of the three readings of each message, and reads its topic meanwhile.
        searches: a second, that this app asks the gateway in a second run of each; 0 leaves these runs out.
        workers: of streams and of store, 1 or 2.
        rows: rows that are stored before.
        rows_per_day: of these, how many have each day; those of today lie in the chunk that is written into.
        against: ``telegraf``, or empty.
        rounds: how often each run is repeated.
        steady: seconds that a run at a fixed rate lasts, whatever ``messages`` says; 0 for ``STEADY_SECONDS`` at most.
    """

    messages: int = 200_000
    devices: int = 1_000
    rate: float = 5_000.0
    stages: tuple[str, ...] = (CHAIN,)
    receipts: bool = False
    sharing: bool = False
    workers: int = 1
    rows: int = 0
    against: str = ""
    rounds: int = 3
    loaded: bool = False
    searches: float = 0.0
    steady: float = 0.0
    rows_per_day: int = history.PER_DAY

    def at(self, rate: float) -> Load:
        """Make the load of a run at a fixed rate."""
        if self.steady:
            return self.load(int(rate * self.steady), rate)
        return self.load(min(self.messages, int(rate * STEADY_SECONDS)), rate)

    def load(self, messages: int, rate: float = 0.0) -> Load:
        """Make a load of these devices."""
        return Load(messages, self.devices, rate, self.receipts, self.sharing)


def forget(_runs: list[Run], _rounds: int) -> None:
    """Note nothing."""


def run(instance: Instance, options: Options, tell: Tell, note: Note) -> list[Run]:
    """Start servers with nothing in them, measure, and stop them.

    Args:
        instance: in which to run; what it held is removed.
        options: what to measure.
        tell: told each step.
        note: told each run as soon as it is over: one that comes later may fail.

    Returns:
        The runs.

    Raises:
        Lost: a run lost something.
        Problem: something on this machine is in the way.
    """
    telegraf = peer.program(instance, tell) if options.against else None
    shutil.rmtree(instance.folder, ignore_errors=True)
    with Stack(instance, progress=tell) as stack:
        stack.start_servers()
        platform = Platform(stack, min(CONNECTIONS, options.devices))
        return asyncio.run(Bench(platform, options, tell, telegraf, note).run())


class Bench:
    """One benchmark on running servers."""

    def __init__(
        self, platform: Platform, options: Options, tell: Tell, telegraf: Path | None = None, note: Note = forget
    ) -> None:
        self._platform = platform
        self._options = options
        self._tell = tell
        self._telegraf = telegraf
        self._note = note
        self._runs: list[Run] = []
        self._rounds = 0
        self._history: history.Stored | None = None
        sharing = ("router",) if options.sharing or "router" in options.stages else ()
        asked = ("gateway",) if self._searches else ()
        self._ours = (*OURS, *sharing, *asked)

    @property
    def _searches(self) -> float:
        return self._options.searches if self._options.sharing else 0.0

    def _took(self, run: Run) -> None:
        self._runs.append(run)
        if self._history and run.subject != TELEGRAF:
            run.history = self._history.in_chunk(datetime.now(UTC))
        self._note(self._runs, self._rounds)

    async def run(self) -> list[Run]:
        """Measure everything that was asked for."""
        options, platform = self._options, self._platform
        await asyncio.to_thread(platform.enrol, options.devices, len(self._ours) > len(OURS), self._tell)
        if options.rows:
            self._history = await asyncio.to_thread(
                history.fill, platform, options.rows, options.rows_per_day, options.devices, self._tell
            )
        platform.allow_searches(self._searches)
        if self._telegraf:
            await asyncio.to_thread(peer.prepare, platform)
        for number in range(options.rounds if CHAIN in options.stages else 0):
            await self._chain(f"round {number + 1} of {options.rounds}")
            if self._telegraf:
                await self._peer(self._telegraf, f"round {number + 1} of {options.rounds}, Telegraf")
            self._rounds = number + 1
            self._note(self._runs, self._rounds)
        single = tuple(name for name in options.stages if name != CHAIN)
        for rate in {0.0, options.rate} if single else ():
            await stages.each(platform, options.load(options.messages, rate), single, self._tell, self._took)
        return self._runs

    async def _chain(self, where: str) -> None:
        options, platform = self._options, self._platform
        platform.start(*self._ours, second=options.workers == 2)
        if "router" in self._ours:
            await platform.wait_known()
        warm = replace(options.load(min(WARM_MESSAGES, options.messages)), searches=self._searches)
        await self._measure(where, "warm-up", warm)
        await asyncio.to_thread(platform.checkpoint)
        sustained = await self._with_and_without_searches(where, CHAIN, options.load(options.messages))
        rates = {f"{CHAIN} at {options.rate:g}/s": options.rate}
        if options.loaded:
            rates |= {f"{CHAIN} at {part:.0%} of that": sustained * part for part in LOADED}
        for subject, rate in rates.items():
            if rate:
                await self._with_and_without_searches(where, subject, options.at(rate))
        if self._telegraf:
            platform.stop(*(f"{name}-2" for name in self._ours), *self._ours[::-1])
            bridge = platform.stack.settings("bridge")
            await forget_session(platform.instance, bridge["AGORA_MQTT_USERNAME"], bridge["AGORA_MQTT_PASSWORD"])

    async def _with_and_without_searches(self, where: str, subject: str, load: Load) -> float:
        """Measure the same twice, where an app is to search in between: first without.

        Returns:
            Messages a second without searches.
        """
        plain = await self._measure(where, subject, load)
        self._took(plain)
        if self._searches:
            self._took(await self._measure(where, f"{subject}{SEARCHING}", replace(load, searches=self._searches)))
        return plain.messages_per_second

    async def _measure(self, where: str, subject: str, load: Load) -> Run:
        return await measure.run_chain(self._platform, load, subject, lambda step: self._tell(f"{where}, {subject}: {step}"))

    async def _peer(self, telegraf: Path, where: str) -> None:
        options, platform = self._options, self._platform
        plain = Load(options.messages, options.devices)
        async with peer.running(platform, telegraf):
            warm = Load(min(WARM_MESSAGES, options.messages), options.devices)
            await peer.run_peer(platform, warm, "warm-up", lambda step: self._tell(f"{where}, warm-up: {step}"))
            await asyncio.to_thread(platform.checkpoint)
            self._took(await peer.run_peer(platform, plain, TELEGRAF, lambda step: self._tell(f"{where}: {step}")))
