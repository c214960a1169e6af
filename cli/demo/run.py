"""Runs the demo: devices publish, apps read, processes are killed, and at its end everything is counted."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import Connection

from cli import operator
from cli.demo import DEVICES_FILE, events
from cli.demo.events import Kill
from cli.demo.meters import Meters
from cli.demo.people import Cast
from cli.demo.readers import AppReader
from contracts.errors import Unavailable
from deploy.local.instance import PROCESSES
from deploy.local.view import View
from runtime import clock
from runtime.settings import DatabaseSettings, KafkaSettings
from sharing.pseudonyms import AppPseudonyms, master_of
from simulators.connection import BrokerAddress
from simulators.credentials import read_sequences, sequences_beside, write_sequences
from simulators.fleet import Fleet
from simulators.misbehaviour import Misbehaviour
from simulators.patients import cast as play
from storage.ledger import Closing, closing, settle

LOOK_SECONDS = 1.0
LEDGER_SECONDS = 3.0
DRAIN_SECONDS = 60.0
CLOSE_SECONDS = 90.0
MISHAPS = (
    Misbehaviour(duplicates=0.1, seed=1),
    Misbehaviour(garbage=0.1, seed=2),
    Misbehaviour(gaps=0.05, disorder=0.1, seed=3),
    Misbehaviour(offline=0.02, offline_seconds=8.0, seed=4),
    Misbehaviour(clock_offset_seconds=90.0, seed=5),
)
"""Every device of the demo but the first of each patient behaves in one of these ways, or well."""


@dataclass(frozen=True)
class Options:
    """What the command was asked for.

    Attributes:
        seconds: how long devices publish; 0 until Ctrl-C.
        speed: seconds of a patient's time in one second.
        kills: whether each process is killed once.
    """

    seconds: float
    speed: float
    kills: bool


@dataclass
class Observed:
    """What the summary shows and the report holds.

    Attributes:
        begun: ``time.monotonic`` of the start.
        said: what happened, newest last.
        meters: counters of all processes.
        closing: the ledger, as last looked at.
        kills: processes killed so far.
        withdrawn: id of the withdrawn consent.
        acknowledged: id of the acknowledged alert.
        drained: whether every message got its receipt.
        cut_short: whether it was ended before all that was to happen on the way had happened.
    """

    begun: float = field(default_factory=time.monotonic)
    started_at: int = field(default_factory=clock.now)
    said: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    meters: Meters = field(default_factory=Meters)
    closing: Closing | None = None
    kills: list[Kill] = field(default_factory=list)
    withdrawn: str = ""
    acknowledged: str = ""
    drained: bool = False
    cut_short: bool = False

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.begun


class Demo:
    """One run, after everybody is enrolled."""

    def __init__(self, view: View, cast: Cast, options: Options) -> None:
        """Prepare it.

        Args:
            view: of the running instance.
            cast: everybody.
            options: what was asked for.
        """
        self.view = view
        self.cast = cast
        self.options = options
        self.observed = Observed()
        values = view.settings("operator")
        self.database = operator.settings(DatabaseSettings, values)
        self.kafka = operator.settings(KafkaSettings, values)
        master = master_of(values["AGORA_PSEUDONYM_MASTER"])
        self.pseudonyms = {name: AppPseudonyms(master, name) for name in cast.access}
        gateway = view.settings("gateway")
        self.gateway = gateway["AGORA_GATEWAY_PUBLIC_URL"].rstrip("/")
        self._operator_token = gateway["AGORA_GATEWAY_OPERATOR_TOKEN"]
        self.ca_file = view.instance.certificates / "ca.pem"
        self._sequences = sequences_beside(view.instance.credentials / DEVICES_FILE)
        ports = view.instance.ports
        self.fleet = self._make_fleet(BrokerAddress("localhost", ports.mqtt, self.ca_file))
        self.readers = {
            name: AppReader(access, f"localhost:{ports.kafka_apps}", str(self.ca_file), self.gateway)
            for name, access in cast.access.items()
        }
        self._stop = asyncio.Event()

    def _make_fleet(self, broker: BrokerAddress) -> Fleet:
        sources = play([role.patient for role in self.cast.roles], self.cast.devices, clock.now(), self.options.speed)
        mishaps = {
            one.key: MISHAPS[number % (len(MISHAPS) + 2)]
            for number, one in enumerate(self.cast.devices)
            if number % (len(MISHAPS) + 2) < len(MISHAPS)
        }
        legacy = {one.key for number, one in enumerate(self.cast.devices) if number % 5 == 4}
        first = read_sequences(self._sequences)
        return Fleet(self.cast.devices, sources, broker, mishaps, legacy=legacy, first_sequences=first)

    def tell(self, words: str) -> None:
        """Note what happens, with its time."""
        self.observed.said.append(f"{self.observed.elapsed:6.1f} s  {words}")

    def stop(self) -> None:
        """Let the devices stop now; what is on its way is still counted."""
        self._stop.set()

    async def run(self, look: Callable[[], None]) -> Observed:
        """Run it to its end.

        Args:
            look: called about once a second, to show how far it is.

        Returns:
            What was seen.
        """
        await self._scrape()  # what was counted before is not this demo's
        for reader in self.readers.values():
            await reader.start()
        await self.fleet.start()
        self.tell(f"{len(self.cast.devices)} devices of {len(self.cast.roles)} patients publish")
        watching = asyncio.create_task(self._watch(look))
        disturbing = asyncio.create_task(self._disturb())
        try:
            await self._until_the_end(disturbing)
            await self._settle(disturbing)
        finally:
            for task in (disturbing, watching):
                task.cancel()
            await asyncio.gather(disturbing, watching, return_exceptions=True)
            await self.fleet.stop(0.0)
            write_sequences(self._sequences, self.fleet.next_sequences())
            for reader in self.readers.values():
                await reader.stop()
        await self._scrape()
        look()
        return self.observed

    async def _until_the_end(self, disturbing: asyncio.Task[None]) -> None:
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({stopping}, timeout=self.options.seconds or None)
        stopping.cancel()
        if not self._stop.is_set():
            await disturbing  # a process that was just killed comes back before the counting begins
        elif not disturbing.done():
            self.observed.cut_short = True
            disturbing.cancel()

    async def _settle(self, disturbing: asyncio.Task[None]) -> None:
        if disturbing.done() and not disturbing.cancelled():
            disturbing.result()
        self.tell("devices stop; waiting for the receipts that are out")
        self.observed.drained = await self.fleet.stop(DRAIN_SECONDS)
        self.tell("waiting until everything is stored")
        self.observed.closing = await settle(self.database, self.kafka, CLOSE_SECONDS)
        for reader in self.readers.values():
            await reader.caught_up(10.0)

    async def _watch(self, look: Callable[[], None]) -> None:
        newest = 0.0
        while True:
            await self._scrape()
            if time.monotonic() - newest >= LEDGER_SECONDS:
                with contextlib.suppress(Unavailable):
                    self.observed.closing = await closing(self.database, self.kafka)
                newest = time.monotonic()
            look()
            await asyncio.sleep(LOOK_SECONDS)

    async def _scrape(self) -> None:
        for process in PROCESSES:
            text = await asyncio.to_thread(self.view.metrics, process)
            if text is not None:
                self.observed.meters.take(process, text)

    async def _disturb(self) -> None:
        """Spread what is done on the way over the middle of the demo."""
        length = self.options.seconds or 120.0
        steps: list[tuple[float, str]] = [(0.35, "acknowledge"), (0.5, "withdraw")]
        if self.options.kills:
            steps += [(0.15 + 0.1 * number, process) for number, process in enumerate(PROCESSES)]
        with self._connect() as connection:
            for part, step in sorted(steps):
                await asyncio.sleep(max(0.0, part * length - self.observed.elapsed))
                await self._take_step(connection, step)
            if not self.observed.acknowledged:
                await self._take_step(connection, "acknowledge")

    async def _take_step(self, connection: Connection[Any], step: str) -> None:
        if step == "withdraw":
            self.observed.withdrawn = await asyncio.to_thread(events.withdraw, connection, self.cast, self.tell)
        elif step == "acknowledge":
            self.observed.acknowledged = await events.acknowledge(
                connection, self.gateway, self._operator_token, str(self.ca_file), self.tell
            )
        else:
            self.observed.kills.append(await events.kill(self.view, step, self.observed.elapsed, self.tell))

    def _connect(self) -> Connection[Any]:
        return psycopg.connect(self.database.conninfo(), autocommit=True)
