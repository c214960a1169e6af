"""One disturbance under load, from a quiet beginning to the last receipt, and what it cost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import LiteralString

import psycopg
from prometheus_client.parser import text_string_to_metric_families
from psycopg import AsyncConnection

from bench.enrolling import Wanted
from bench.outage import verdict
from bench.outage.away import come_back, keep_away
from bench.outage.flood import Flooder
from bench.outage.load import OUTBOX, Ear, Load, Sender
from bench.outage.options import FLOOD, OVERLOAD, SERVERS, Course, Options
from bench.outage.report import Found
from bench.target import Target, Tell
from bench.watching import Watched
from bench.wire import Session
from cli import operator
from cli.server_status import delays
from contracts.instants import SECOND, to_datetime
from deploy.local.problems import Problem
from ingest.settings import IngestSettings
from runtime import clock
from simulators.patients import DeviceCredential

ORG = "outage"
FLOODER = "flooder"
QUIET_SECONDS = 5.0
FULL_RATE, FULL_OUTBOX, FULL_SECONDS = 20_000.0, 250, 20.0
"""How full load is found: more than fits is offered, and devices that hold few messages take what they are answered for.

All of that must be stored: the bridge alone takes more than the rest of the chain, for as long as Kafka can keep it.
"""
OVERLOAD_OUTBOX = 500
"""What a careful device can keep in an overload: then it writes nothing new, which is where back-pressure is to arrive."""
TIMES = {OVERLOAD: 3.0}
PART = 1 / 3
"""What is offered of what fits: more in an overload; else what leaves room, to catch up or for a flood."""
INSIST_SECONDS, REST_SECONDS, CATCH_UP_SECONDS = 240.0, 240.0, 1_200.0
FLOWING_SECONDS = 60.0
LOOK_SECONDS = 1.0
BEHIND_SECONDS = 2.0
"""So late may the newest message in the store be for it to have caught up: some are always on their way."""
RECENT_SECONDS = 10.0
_STORED = "SELECT coalesce(sum(readings_stored), 0)::bigint FROM ledger_devices WHERE org = %s"
_NEWEST = """
SELECT min(coalesce(newest, 0)) FROM (
    SELECT max(o.sequence) AS newest
    FROM devices d LEFT JOIN observations o ON o.device_key = d.device_key AND o.device_time >= %s
    WHERE d.org = %s AND d.name LIKE 'careless-%%' GROUP BY d.device_key) AS s"""
"""The newest message of the careless device that is furthest behind, 0 where it is far behind: these send whatever happens, and
what the broker let fall never comes. Of recent rows only: to look through millions takes seconds, and then it is old news."""
DROPPED = "agora_keeper_broker_messages_dropped"
REFUSED = "agora_ingest_messages_refused"
COUNTED_SECONDS = 30.0
"""The broker tells every ten seconds what it dropped."""


class Outage:
    """A run against a platform that is up.

    Args:
        target: what is disturbed.
        options: what was asked for.
    """

    def __init__(self, target: Target, options: Options) -> None:
        self._target = target
        self._options = options
        self._watched = Watched()
        self._course = Course()
        self._first = self._rows_before = 0

    def enrol(self, tell: Tell) -> list[DeviceCredential]:
        """Enrol the run's devices."""
        kinds = {"careful": self._options.devices, "careless": self._options.careless, FLOODER: self._options.kind == FLOOD}
        names = [f"{kind}-{number}" for kind, many in kinds.items() for number in range(many)]
        return list(self._target.enrol(ORG, [Wanted(name, f"outage-{name}") for name in names], tell).values())

    async def run(self, credentials: list[DeviceCredential], tell: Tell) -> Found:
        """Disturb, wait until everything came to rest, and compare.

        Args:
            credentials: of ``enrol``.
            tell: told how far it is.

        Returns:
            What was found.

        Raises:
            Lost: the broker ended a session.
            Problem: a server did not come back, or the platform did not work to begin with.
        """
        since = clock.now()
        ears = self._ears(credentials)
        senders = [ear.sender for ear in ears if ear.sender]
        flooder = next((self._flooder(ear.sender, ear) for ear in ears if ear.sender and ear.sender.floods), None)
        load = Load([one for one in senders if not one.floods], self._options.rate, flooder.sender if flooder else None)
        fallen = await asyncio.to_thread(self._fallen)
        received = (await self._target.settle(REST_SECONDS)).received
        self._rows_before = await self._stored()
        looking = asyncio.create_task(self._look())
        try:
            for sender in senders:
                await sender.session.open()
            await self._disturb(load, flooder, tell)
            tell("no new messages; waiting for the last receipts")
            complete = await load.insist(INSIST_SECONDS)
            closing = await self._target.settle(REST_SECONDS)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            for sender in senders:
                await sender.session.close()
        self._watched.look(self._target.view)
        with psycopg.connect(self._target.database.conninfo()) as connection:
            compared = verdict.compare(connection, ORG, to_datetime(since), senders, self._first)
        received = closing.received - received
        self._course.rejected = sum(sum(sender.session.rejected.values()) for sender in senders)
        await self._count_fallen(compared.published - received, fallen)
        if flooder:
            told = sum((Counter(ear.told) for ear in ears if ear.sender is not flooder.sender), Counter[str]())
            self._course.flooded = flooder.found(dict(told))
        again = self._watched.restarted(self._target.view)
        return Found(self._options, self._course, compared, complete, closing, received, self._watched, tuple(again))

    def _ears(self, credentials: list[DeviceCredential]) -> list[Ear]:
        address, tls = self._target.broker, self._target.broker.tls()
        ears = []
        for credential in credentials:
            ear, name = Ear(), credential.device
            session = Session(address, tls, credential, ear)
            ear.sender = Sender(session, careful=name.startswith("careful"), floods=name.startswith(FLOODER))
            ear.sender.capacity = OVERLOAD_OUTBOX if self._options.kind == OVERLOAD else OUTBOX
            ears.append(ear)
        return ears

    def _flooder(self, sender: Sender, ear: Ear) -> Flooder:
        return Flooder(sender, ear, operator.settings(IngestSettings, self._target.view.env("bridge")))

    async def _disturb(self, load: Load, flooder: Flooder | None, tell: Tell) -> None:
        if not self._options.rate:
            load.rate = await self._full_rate(load, tell) * TIMES.get(self._options.kind, PART)
        self._course.rate = load.rate
        tell(f"{load.rate:.0f} messages a second from {len(load.senders)} devices")
        async with _publishing(load):
            await asyncio.sleep(QUIET_SECONDS)
            await self._flowing()
            self._watched.look(self._target.view, baseline=True)
            if self._options.kind == OVERLOAD:
                first, begun = load.newest, time.monotonic()
                await asyncio.sleep(self._options.seconds)
                self._course.offered = (load.newest - first) / (time.monotonic() - begun)
                return
            if flooder:
                tell(f"another device floods until it is told to stop, and {self._options.seconds:.0f} s more")
                await flooder.flood(self._options.seconds)
                return
            servers = SERVERS[self._options.kind]
            tell(f"{' and '.join(servers)} away for {self._options.seconds:.0f} s")
            await keep_away(self._target.view, servers, self._options.seconds)
            back = await come_back(self._target.view, servers)
            tell(f"back after {back:.1f} s; catching up")
            await self._catch_up(load, tell)

    async def _full_rate(self, load: Load, tell: Tell) -> float:
        """Find what fits: messages with receipts, by the seconds until the last of them is stored."""
        tell("finding out how much fits")
        before = [(sender.capacity, sender.careful) for sender in load.senders]
        for sender in load.senders:
            sender.capacity, sender.careful = FULL_OUTBOX, True
        load.rate, begun = FULL_RATE, time.monotonic()
        async with _publishing(load):
            await asyncio.sleep(FULL_SECONDS)
        await load.insist(INSIST_SECONDS)
        stored = await self._all_stored(sum(len(sender.receipted) for sender in load.senders))
        self._course.full_rate = stored / (time.monotonic() - begun)
        for sender, (capacity, careful) in zip(load.senders, before, strict=True):
            sender.capacity, sender.careful, sender.held_back = capacity, careful, 0
            sender.receipt_seconds.clear()
        self._first = load.newest
        return self._course.full_rate

    async def _all_stored(self, messages: int) -> int:
        end = time.monotonic() + REST_SECONDS
        while True:
            stored = await self._stored() - self._rows_before
            if stored >= messages or time.monotonic() > end:
                return stored
            await asyncio.sleep(LOOK_SECONDS / 4)

    async def _flowing(self) -> None:
        """Wait until the first row is stored: what is disturbed is a platform that works, not one that is still starting.

        Raises:
            Problem: none is.
        """
        begun = time.monotonic()
        while await self._stored() == self._rows_before:
            if time.monotonic() - begun > FLOWING_SECONDS:
                raise Problem(f"no reading is stored after {FLOWING_SECONDS:.0f} s, before any outage", "./agora logs streams")
            await asyncio.sleep(LOOK_SECONDS)

    async def _catch_up(self, load: Load, tell: Tell) -> None:
        """Follow the rows until the newest are those that devices have just sent."""
        first = count = await self._stored()
        started = begun = time.monotonic()
        behind = True
        while behind and time.monotonic() - begun < CATCH_UP_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)
            wanted = load.newest - BEHIND_SECONDS * load.rate
            behind = await self._asked(_NEWEST, to_datetime(clock.now() - round(RECENT_SECONDS * SECOND)), ORG) < wanted
            count = await self._stored()
            if count == first:
                started = time.monotonic()
        now = time.monotonic()
        self._course.recovered, self._course.caught_up = started - begun, now - begun
        self._course.catch_up_rate = (count - first) / max(now - started, 0.1)
        tell(f"caught up {now - begun:.1f} s after it was back, at {self._course.catch_up_rate:.0f} rows a second")

    async def _stored(self) -> int:
        return await self._asked(_STORED, ORG)

    async def _asked(self, query: LiteralString, *values: object) -> int:
        async with await AsyncConnection.connect(self._target.database.conninfo(), autocommit=True) as connection:
            row = await (await connection.execute(query, values)).fetchone()
        assert row is not None, "an aggregate gives a row"
        return int(row[0] or 0)

    async def _count_fallen(self, fallen: int, before: tuple[int, int]) -> None:
        """Wait until as many messages are counted as never arrived, or the broker must have told."""
        end = time.monotonic() + COUNTED_SECONDS
        course = self._course
        while True:
            refused, dropped = await asyncio.to_thread(self._fallen)
            course.refused, course.dropped = refused - before[0], dropped - before[1]
            if course.counted >= fallen or time.monotonic() > end:
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _fallen(self) -> tuple[int, int]:
        return self._counted("bridge", REFUSED), self._counted("keeper", DROPPED)

    def _counted(self, process: str, counter: str) -> int:
        families = text_string_to_metric_families(self._target.view.metrics(process) or "")
        samples = (one for family in families if family.name == counter for one in family.samples)
        return int(sum(one.value for one in samples if one.name.endswith("_total")))

    async def _look(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._watched.look, self._target.view)
                for name, seconds in (await asyncio.to_thread(delays, self._target.view)).items():
                    self._course.late[name] = max(seconds, self._course.late.get(name, 0.0))
            await asyncio.sleep(LOOK_SECONDS)


@contextlib.asynccontextmanager
async def _publishing(load: Load) -> AsyncIterator[None]:
    """Let devices publish meanwhile; what ended their load before its time ends the run."""
    publishing = asyncio.create_task(load.run())
    try:
        yield
        if publishing.done():
            publishing.result()
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
