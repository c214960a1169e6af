"""One run of garbage: enrol, send, wait until all of it came to rest, and judge."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Any

import psycopg

from bench.enrolling import Wanted
from bench.garbage import verdict
from bench.garbage.canaries import Canaries
from bench.garbage.flow import LEAST_WINDOW, Flow
from bench.garbage.plan import Plan
from bench.garbage.report import Found
from bench.target import Target, Tell
from bench.watching import Watched
from bench.wire import Lost, Session
from contracts.instants import to_datetime, to_text
from runtime import clock
from simulators.patients import DeviceCredential

ORG = "garbage"
LENT, NOBODYS, CANARIES = 48, 4, 2
LARGE_BYTES = 10 * 1000 * 1000
WARM_UP = 0.2
LOOK_SECONDS = 2.0
FIRST_SECONDS = 60.0
STEER_SECONDS = 0.25
AIM_SECONDS = 1.0
"""What a valid reading should take at most: more garbage at a time would only measure the queue it makes."""
REST_SECONDS = 120.0


@dataclass(frozen=True)
class Options:
    """What a run is asked for.

    Attributes:
        messages: of garbage in all, those of 10 MB among them.
        seed: of the messages.
        window: most messages that are out at a time; how many really are follows the valid readings' delay.
    """

    messages: int
    seed: int
    window: int = 5_000

    @property
    def large(self) -> int:
        """How many of them are of 10 MB."""
        return min(self.messages, max(2, self.messages // 100_000))


class Garbage:
    """A run against a platform that is up.

    Args:
        target: what it is sent to.
        options: what was asked for.
    """

    def __init__(self, target: Target, options: Options) -> None:
        self._target = target
        self._options = options
        self._address = target.broker
        self._tls = self._address.tls()
        self._plan = Plan(options.messages - options.large, options.seed, lambda: to_text(clock.now()))
        self._flow = Flow(self._plan.count, LEAST_WINDOW, lambda number, code: code in self._plan.kind(number).codes)
        self._canaries = Canaries(ORG)
        self._watched = Watched()

    def enrol(self, tell: Tell) -> dict[str, DeviceCredential]:
        """Enrol the run's devices."""
        wanted = [Wanted(f"lent-{number}", f"garbage-{number}") for number in range(LENT)]
        wanted += [Wanted(f"nobodys-{number}", "") for number in range(NOBODYS)]
        wanted += [Wanted(f"canary-{number}", f"canary-{number}") for number in range(CANARIES)]
        wanted.append(Wanted("large", "garbage-large"))
        return self._target.enrol(ORG, wanted, tell)

    async def run(self, credentials: dict[str, DeviceCredential], tell: Tell) -> Found:
        """Send everything, and judge what became of it.

        Args:
            credentials: of ``enrol``.
            tell: told how far it is.

        Returns:
            What was found.

        Raises:
            Lost: the broker ended a session that sent nothing it must refuse.
            Stuck: nothing was answered for a minute.
        """
        since = clock.now()
        self._watched.look(self._target.view)
        sessions = {
            name: Session(self._address, self._tls, one, self._flow) for name, one in credentials.items() if name != "large"
        }
        connection = await psycopg.AsyncConnection.connect(self._target.database.conninfo(), autocommit=True)
        tasks: list[asyncio.Task[None]] = []
        try:
            for session in sessions.values():
                await session.open()
            canaries = [session for name, session in sessions.items() if name.startswith("canary")]
            tasks += [
                asyncio.create_task(self._canaries.fly(canaries)),
                asyncio.create_task(self._canaries.watch(connection)),
                asyncio.create_task(self._look(tell)),
                asyncio.create_task(self._steer()),
            ]
            await self._canaries.arrived(FIRST_SECONDS)
            begun = time.monotonic()
            refused = await self._send(sessions, credentials["large"], tell)
            seconds = time.monotonic() - begun
            tell("all of it is answered; waiting until it is stored")
            tasks[0].cancel()
            closing = await self._target.settle(REST_SECONDS)
            await self._canaries.look(connection)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for session in sessions.values():
                await session.close()
            await connection.close()
        self._watched.look(self._target.view)
        return self._judge(since, seconds, refused, closing)

    async def _send(self, sessions: dict[str, Session], large: DeviceCredential, tell: Tell) -> int:
        lent = [session for name, session in sessions.items() if name.startswith("lent")]
        nobodys = [session for name, session in sessions.items() if name.startswith("nobodys")]
        too_large = asyncio.create_task(self._send_large(large))
        try:
            await self._flow.send(self._plan, lent, nobodys, lambda sent: tell(self._line(sent)))
            return await too_large
        finally:
            too_large.cancel()

    def _line(self, sent: int) -> str:
        delay = f"valid readings take {self._canaries.delay:.2f} s"
        return f"{sent} of {self._options.messages} sent, {self._flow.out} on their way; {delay}"

    async def _send_large(self, credential: DeviceCredential) -> int:
        """Send what the broker must not take; give how many it ended the connection over."""
        refused = 0
        payload = b'{"value":"' + b"9" * LARGE_BYTES + b'"}'
        for number in range(self._options.large):
            session = Session(self._address, self._tls, credential, self._flow)
            await session.open()
            with contextlib.suppress(Lost, OSError):
                session.publish("vitals", payload, b"large-%d" % number)
                await session.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(session.ended(), 20)
                refused += 1
            await session.close()
        return refused

    async def _look(self, tell: Tell) -> None:
        """Look at the processes now and then; growth is measured from the end of the warm-up on."""
        warm = False
        while True:
            baseline = not warm and self._flow.answered >= WARM_UP * self._plan.count
            await asyncio.to_thread(self._watched.look, self._target.view, baseline)
            warm = warm or baseline
            await asyncio.sleep(LOOK_SECONDS)

    async def _steer(self) -> None:
        """Let out as much at a time as leaves valid readings quick."""
        while True:
            self._flow.steer(self._canaries.delay > AIM_SECONDS, self._options.window)
            await asyncio.sleep(STEER_SECONDS)

    def _judge(self, since: int, seconds: float, refused: int, closing: Any) -> Found:
        with psycopg.connect(self._target.database.conninfo()) as connection:
            kept = verdict.read_quarantine(connection, to_datetime(since), self._plan, self._flow)
            false, missing = verdict.read_false_rows(connection, to_datetime(since), ORG, self._canaries.sent)
        return Found(
            options=self._options,
            seconds=seconds,
            refused_by_broker=refused,
            kept=kept,
            flow=self._flow,
            canaries=self._canaries,
            false_rows=false,
            missing_canaries=missing,
            closing=closing,
            watched=self._watched,
            restarted=tuple(self._watched.restarted(self._target.view)),
        )
