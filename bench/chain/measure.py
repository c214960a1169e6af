"""One run of the whole chain: publish, wait for the last committed row, tell what it took. A run that lost something fails."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

from psycopg import AsyncConnection

from bench.chain import audience, commits, companion
from bench.chain.generator import Plan, Published
from bench.chain.platform import Platform
from bench.chain.runs import Load, Lost, Run, Tell
from bench.chain.statistics import per_million, percentiles
from bench.chain.workload import ORG, READINGS
from contracts.mqtt import RECEIPTS, ROOT
from contracts.topics import RAW, VITALS
from storage.ledger import settle

STALL_SECONDS = 60.0
LEDGER_SECONDS = 60.0
POLL_SECONDS = 0.2
BACKLOG = 500_000
"""Messages on the way at the highest rate: the broker holds 1.4 million of them for the bridge, and then lets them fall."""
MINUTE_SECONDS = 60.0
LOOK_SECONDS, LOOSE_LOOK_SECONDS = 0.01, 0.05
"""Between two looks for commits: where latency is what is wanted, and where only the last one is."""
_STORED = "SELECT coalesce(sum(readings_stored), 0)::bigint FROM ledger_devices"


class Publisher:
    """A generator that is connected.

    Args:
        process: it runs in.
    """

    def __init__(self, process: companion.Companion) -> None:
        self._process = process

    def begin(self) -> asyncio.Task[Published]:
        """Let it begin; gives what it did."""
        return asyncio.create_task(self._work())

    def stored(self, messages: int) -> None:
        """Tell it how many of its messages are stored."""
        self._process.say(str(messages))

    async def _work(self) -> Published:
        self._process.say("go")
        return Published(**await self._process.report())


@asynccontextmanager
async def generator(platform: Platform, load: Load, backlog: int = 0) -> AsyncIterator[Publisher]:
    """Start a generator and let it connect.

    Args:
        platform: with its accounts.
        load: what to publish.
        backlog: messages that may be published and, as it is told, not stored yet; 0 for any number.
    """
    plan = Plan(
        port=platform.instance.ports.mqtt,
        ca_file=str(platform.instance.certificates / "ca.pem"),
        accounts=platform.accounts[:-1],
        devices=load.devices,
        messages=load.messages,
        rate=load.rate,
        receipts=load.receipts,
        receipts_filter=f"{ROOT}/{ORG}/+/down/{RECEIPTS}" if load.receipts else "",
        backlog=backlog,
    )
    async with companion.started("generator", "bench.chain.generator", asdict(plan), platform.companion_env()) as process:
        yield Publisher(process)


async def run_chain(platform: Platform, load: Load, subject: str, tell: Tell) -> Run:
    """Send messages through the whole chain.

    Args:
        platform: with our processes running.
        load: what to publish.
        subject: what the run is called.
        tell: told how far it is.

    Returns:
        What it took.

    Raises:
        Lost: a row is missing or too much, the ledger does not close, a receipt is missing, or an app did not get what it may, or
            more.
    """
    async with (
        await AsyncConnection.connect(platform.conninfo, autocommit=True) as books,
        commits.Watcher(platform.conninfo, LOOK_SECONDS if load.rate else LOOSE_LOOK_SECONDS) as watcher,
        audience.attending(platform, load) as app,
        generator(platform, load, 0 if load.rate else BACKLOG) as publisher,
    ):
        before = await stored(books)
        checkpoints = await asyncio.to_thread(platform.checkpoints)
        used = platform.usage(watcher.backend)
        task = publisher.begin()
        if app:
            app.begin()
        async with _by_minute(platform, load) as sizes:
            await _await_rows(books, before, load.messages, task, publisher, tell)
        published = await task
        if app:
            await app.finish(tell)
        judging = await _until_judged(platform, tell)
        after = platform.usage(watcher.backend, memory=True)
        seen, spent = watcher.seen, after.since(used)
        received = await app.received(published.begun) if app else None
        searched = app.searched(spent) if app else None
        checkpoints = await asyncio.to_thread(platform.checkpoints) - checkpoints
    rows = await commits.rows_by_commit(platform.conninfo, published.begun - 0.001)
    written = sum(count for _, _, count in rows)
    await check(platform, load, published, written)
    ended = max(seen.visible(committed) or 0 for committed, _, _ in rows) / 1e6
    run = summary(subject, load, published, ended, spent)
    run.received, run.searched, run.judging = received, searched, judging
    run.latency = percentiles(commits.latencies(rows, seen))
    run.by_second = _by_second(rows, seen, published.begun)
    run.memory, run.rows, run.by_minute, run.checkpoints = after.memory, written, sizes, checkpoints
    return run


@asynccontextmanager
async def _by_minute(platform: Platform, load: Load) -> AsyncIterator[list[dict[str, int]]]:
    """Look at everybody's memory once a minute; as fast as it goes, nobody is kept from work by that."""
    sizes: list[dict[str, int]] = []

    async def look() -> None:
        while load.rate:
            await asyncio.sleep(MINUTE_SECONDS)
            sizes.append((await asyncio.to_thread(platform.usage, memory=True)).memory)

    looking = asyncio.create_task(look())
    try:
        yield sizes
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def summary(subject: str, load: Load, published: Published, ended: float, cpu: dict[str, float]) -> Run:
    """Put rates and processor time together.

    Args:
        subject: what was measured.
        load: with what.
        published: what the generator did.
        ended: wall clock at which the last row was visible, seconds.
        cpu: processor seconds by process.
    """
    seconds = ended - published.begun
    rate = load.messages / seconds
    costs = cpu | {"generator": published.cpu}
    return Run(
        subject,
        load,
        seconds,
        rate,
        rate * READINGS,
        cpu={name: per_million(used, load.messages) for name, used in costs.items()},
        receipts=published.receipts,
        behind=published.behind,
    )


def _by_second(rows: list[tuple[int, int, int]], seen: commits.Seen, begun: float) -> list[float]:
    seconds: dict[int, list[tuple[int, int, int]]] = {}
    for row in rows:
        seconds.setdefault(int(row[1] / 1e6 - begun), []).append(row)
    return [percentiles(commits.latencies(seconds[each], seen), (50.0,)).get("p50", 0.0) for each in sorted(seconds)]


async def stored(books: AsyncConnection) -> int:
    """Give how many readings the ledger says are stored."""
    row = await (await books.execute(_STORED)).fetchone()
    assert row is not None, "an aggregate gives a row"
    return int(row[0])


async def _await_rows(
    books: AsyncConnection, before: int, messages: int, task: asyncio.Task[Published], publisher: Publisher, tell: Tell
) -> None:
    """Wait until the readings of so many messages are stored, as the ledger counts them in the transactions that store them."""
    newest, moved = -1, time.monotonic()
    wanted = before + messages * READINGS
    while (there := await stored(books)) < wanted:
        if task.done() and task.exception() is not None:
            task.result()
        if not task.done():
            publisher.stored((there - before) // READINGS)
        if there != newest:
            newest, moved = there, time.monotonic()
        elif time.monotonic() - moved > STALL_SECONDS:
            raise Lost(f"{wanted - there} readings are not stored, and for {STALL_SECONDS:.0f} s none came")
        tell(f"{wanted - there} readings to come")
        await asyncio.sleep(POLL_SECONDS)


async def _until_judged(platform: Platform, tell: Tell) -> float:
    """Wait until every reading was judged for alerts, too, so that all of that work counts, and none of it in the next run.

    Returns:
        How many seconds it took; half a second of it at most is the worker's, until it says so.
    """
    begun = moved = time.monotonic()
    least: float = math.inf
    while lag := await platform.lag("agora-streams", RAW, VITALS):
        tell(f"{lag} records to be judged for alerts")
        if lag < least:
            least, moved = lag, time.monotonic()
        elif time.monotonic() - moved > STALL_SECONDS:
            raise Lost(f"{lag} records are not judged for alerts, and for {STALL_SECONDS:.0f} s none was")
        await asyncio.sleep(POLL_SECONDS)
    return time.monotonic() - begun


async def check(platform: Platform, load: Load, published: Published, rows: int) -> None:
    """See that what came out is what went in.

    Raises:
        Lost: it is not.
    """
    if rows != load.messages * READINGS:
        raise Lost(f"{load.messages} messages were sent and {rows} rows written, not {load.messages * READINGS}")
    if load.receipts and published.receipts < load.messages:
        raise Lost(f"{load.messages - published.receipts} messages never got their receipt")
    found = await settle(platform.database, platform.kafka, LEDGER_SECONDS)
    if not found.closed:
        raise Lost(f"the ledger does not close: difference {found.difference}, lag {found.lag}, in flight {found.in_flight}")
