"""Each stage alone: what the one before it left waiting is emptied by one process, with nothing else of ours running.

A process is measured from its first message to its last: what it takes to start is left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from psycopg import AsyncConnection

from bench.chain import measure
from bench.chain.platform import Platform, Usage
from bench.chain.runs import Load, Lost, Run, Tell
from bench.chain.statistics import per_million
from bench.chain.workload import READINGS
from contracts.topics import RAW, VITALS

STAGES = ("bridge", "streams", "store", "router")
POLL_SECONDS = 0.5
STALL_SECONDS = 60.0
Progress = Callable[[], Awaitable[int]]
"""Tells how many messages of this run a stage has done with."""


async def each(platform: Platform, load: Load, wanted: tuple[str, ...], tell: Tell, took: Callable[[Run], None]) -> None:
    """Measure stages one after the other, each on what the one before it made.

    Args:
        platform: with servers, devices enrolled, and consents where the router is wanted.
        load: what to publish; with a rate, the bridge works meanwhile, and the others find its frames as they are at that rate.
        wanted: of ``STAGES``; those between are run, too, since the next needs what they make.
        tell: told each step.
        took: given a run for each that was wanted, as soon as it is over.
    """
    platform.start("keeper", "bridge")
    await _until(lambda: platform.metric("bridge", "agora_ingest_sessions_connected_total"), 1, "bridge", tell)
    platform.stop("gateway", "router", "store-2", "store", "streams-2", "streams", "keeper", *(() if load.rate else ("bridge",)))
    async with await AsyncConnection.connect(platform.conninfo, autocommit=True) as books:
        stored = await measure.stored(books)
        begun, used = time.perf_counter(), platform.usage()
        async with measure.generator(platform, load) as publisher:
            tell("publishing to the broker")
            await publisher.begin()
        if load.rate:
            if "bridge" in wanted:
                took(_run("bridge", load, load.messages, begun, used, platform))
            platform.stop("bridge")
        progress: dict[str, Progress] = {
            "bridge": lambda: _confirmed(platform),
            "streams": lambda: _normalised(platform, load.messages),
            "store": lambda: _written(books, stored),
            "router": lambda: _decided(platform, load.messages),
        }
        for name in STAGES[1 if load.rate else 0 :]:
            if name in wanted or (name != "router" and STAGES.index(name) < max(map(STAGES.index, wanted))):
                run = await _drain(platform, name, load, progress[name], tell)
                if name in wanted:
                    took(run)


async def _drain(platform: Platform, name: str, load: Load, progress: Progress, tell: Tell) -> Run:
    if name == "router":
        platform.start("keeper")  # without its heartbeat nothing is released
    platform.start(name)
    at = await _until(progress, 1, name, tell)
    used, begun = platform.usage(), time.perf_counter()
    await _until(progress, load.messages, name, tell)
    run = _run(name, load, load.messages - at, begun, used, platform)
    platform.stop(name, "keeper")
    return run


def _run(name: str, load: Load, messages: int, begun: float, used: Usage, platform: Platform) -> Run:
    after, seconds = platform.usage(memory=True), time.perf_counter() - begun
    rate = messages / seconds
    cpu = {process: per_million(spent, messages) for process, spent in after.since(used).items()}
    subject = f"{name} alone, {f'frames of {load.rate:g}/s' if load.rate else 'backlog'}"
    return Run(subject, load, seconds, rate, rate * READINGS, cpu=cpu, memory=after.memory)


async def _until(progress: Callable[[], Awaitable[float]], wanted: int, name: str, tell: Tell) -> int:
    newest, moved = -1.0, time.monotonic()
    while (done := await progress()) < wanted:
        if done != newest:
            newest, moved = done, time.monotonic()
        elif time.monotonic() - moved > STALL_SECONDS:
            raise Lost(f"{name} alone: after {done:.0f} of {wanted} nothing moved for {STALL_SECONDS:.0f} s")
        tell(f"{name} alone: {wanted - done:.0f} messages to come")
        await asyncio.sleep(POLL_SECONDS)
    return int(done)


async def _confirmed(platform: Platform) -> int:
    return int(await platform.metric("bridge", "agora_ingest_messages_confirmed_total"))


async def _normalised(platform: Platform, messages: int) -> int:
    """Count what is normalised; the last message only counts when everything is flagged, too."""
    done = int(await platform.metric("streams", "agora_streams_messages_total", {"outcome": "accepted"}))
    if done < messages:
        return done
    return messages if await platform.lag("agora-streams", RAW, VITALS) == 0 else messages - 1


async def _written(books: AsyncConnection, before: int) -> int:
    return (await measure.stored(books) - before) // READINGS


async def _decided(platform: Platform, messages: int) -> int:
    """Count the messages whose readings were released or withheld; the last one only counts when that is committed, too."""
    counters = ("agora_sharing_readings_released_total", "agora_sharing_readings_refused_total")
    done = int(sum([await platform.metric("router", counter) for counter in counters])) // READINGS
    if done < messages:
        return done
    return messages if await platform.lag("agora-router", VITALS) == 0 else messages - 1
