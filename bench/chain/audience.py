"""The app that takes part in a run: it reads its topic, and where wanted searches, while messages come; whether it got its due.

What is its due, the rows themselves tell: every stored reading of the one vital that everybody shares, under the id by which this
app knows the reading.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Set
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from typing import Any

from psycopg import AsyncConnection

from bench.chain import companion, consumer, searcher
from bench.chain.companion import Companion
from bench.chain.consumer import Heard
from bench.chain.enrolment import APP, UNSHARED, VITAL
from bench.chain.platform import Platform
from bench.chain.runs import Load, Lost, Received, Searched, Tell
from contracts.ids import observation_id
from contracts.topics import VITALS
from sharing.pseudonyms import AppPseudonyms, master_of

CONSUMER, SEARCHER = "app's consumer", "app's searches"
ROUTED_SECONDS = 60.0
POLL_SECONDS = 0.2
_SHARED = """
SELECT d.org::text, d.name::text, coalesce(n.name, t.name), (extract(epoch FROM o.device_time) * 1e6)::bigint, o.sequence
FROM observations o JOIN vitals v USING (vital_key) JOIN devices d USING (device_key)
LEFT JOIN sites t USING (site_key) LEFT JOIN device_sites n USING (device_key, site_key)
WHERE o.device_time >= to_timestamp(%s) AND v.code = %s"""


class Audience:
    """The app during one run.

    Args:
        platform: whose app it is.
        reads: its consumer.
        asks: what searches for it, or None.
    """

    def __init__(self, platform: Platform, reads: Companion, asks: Companion | None) -> None:
        self._platform = platform
        self._reads = reads
        self._asks = asks
        self._answered: dict[str, Any] = {}

    def begin(self) -> None:
        """Let it search; it reads already."""
        if self._asks:
            self._asks.say("go")

    async def finish(self, tell: Tell) -> None:
        """End its searches, since everything is stored; then wait until its records came."""
        if self._asks:
            self._asks.say("stop")
            self._answered = await self._asks.report()
        tell("waiting for the app's records")
        await self._reads.hear()

    async def received(self, begun: float) -> Received:
        """Tell what came on its topic.

        Args:
            begun: wall clock at the first publish of the run, seconds.

        Raises:
            Lost: it is not what the consents allow.
        """
        await _await_router(self._platform)
        self._reads.say("end")
        heard = Heard(**await self._reads.report())
        check_ids(set(heard.ids), await allowed_ids(self._platform, begun))
        rate = len(heard.ids) / (heard.last - begun)
        return Received(len(heard.ids) + heard.repeats, heard.repeats, rate, heard.latency)

    def searched(self, used: Mapping[str, float]) -> Searched | None:
        """Tell what came of its searches; None where it did not search.

        Args:
            used: processor seconds of each process during the run.

        Raises:
            Lost: a search failed, or found what it may not find, or none found anything.
        """
        if not self._asks:
            return None
        check_searches(self._answered)
        return Searched(
            seconds=self._answered["seconds"],
            observations=self._answered["observations"],
            limit=self._platform.search_limit,
            gateway_cpu=used.get("gateway", 0.0),
            database_cpu=used.get("postgres gateway", 0.0),
        )


@asynccontextmanager
async def attending(platform: Platform, load: Load) -> AsyncIterator[Audience | None]:
    """Have the app take part in a run, where sharing is measured.

    Args:
        platform: with its router running; with its gateway, where the app is to search.
        load: what will be published.
    """
    if not load.sharing:
        yield None
        return
    async with AsyncExitStack() as stack:
        reads = await stack.enter_async_context(
            companion.started(CONSUMER, "bench.chain.consumer", asdict(_reading(platform, load)), platform.companion_env())
        )
        asks = None
        if load.searches:
            asks = await stack.enter_async_context(
                companion.started(SEARCHER, "bench.chain.searcher", asdict(_asking(platform, load)), platform.companion_env())
            )
        names = {CONSUMER: reads.pid} | ({SEARCHER: asks.pid} if asks else {})
        platform.extra |= names
        try:
            yield Audience(platform, reads, asks)
        finally:
            for name in names:
                platform.extra.pop(name)


def _reading(platform: Platform, load: Load) -> consumer.Plan:
    access, operator = platform.access, platform.stack.settings("operator")
    assert access is not None, "an app was enrolled"
    return consumer.Plan(
        bootstrap=operator["AGORA_KAFKA_APPS_BOOTSTRAP"],
        ca_file=operator["AGORA_CA_FILE"],
        username=access.kafka_user,
        password=access.kafka_password,
        topic=access.topic,
        expected=load.messages,
    )


def _asking(platform: Platform, load: Load) -> searcher.Plan:
    access, operator = platform.access, platform.stack.settings("operator")
    assert access is not None, "an app was enrolled"
    return searcher.Plan(
        gateway=operator["AGORA_GATEWAY_PUBLIC_URL"],
        ca_file=operator["AGORA_CA_FILE"],
        client_id=access.client_id,
        client_secret=access.client_secret,
        shared=VITAL,
        unshared=UNSHARED,
        rate=load.searches,
        seed=time.time_ns(),
    )


async def allowed_ids(platform: Platform, begun: float) -> set[str]:
    """Give the ids that the app may have received: of all readings of the shared vital, under its names.

    Args:
        platform: with everything stored.
        begun: wall clock at the first publish, seconds.
    """
    master = platform.stack.settings("operator")["AGORA_PSEUDONYM_MASTER"]
    pseudonyms = AppPseudonyms(master_of(master), APP)
    async with await AsyncConnection.connect(platform.conninfo, autocommit=True) as connection:
        rows = await (await connection.execute(_SHARED, (begun - 0.001, VITAL))).fetchall()
    return {
        pseudonyms.reading(observation_id(org, device, VITAL, site, moment, sequence))
        for org, device, site, moment, sequence in rows
    }


def check_ids(came: Set[str], allowed: Set[str]) -> None:
    """See that an app got what it may, all of it and nothing else.

    Raises:
        Lost: it did not.
    """
    if came - allowed:
        raise Lost(f"the app got {len(came - allowed)} records that no consent allows")
    if allowed - came:
        raise Lost(f"the app got {len(came)} records of the {len(allowed)} that consents allow")


def check_searches(answered: Mapping[str, Any]) -> None:
    """See that all searches were answered, and with what may be answered.

    Args:
        answered: ``searcher.Answered`` as a mapping.

    Raises:
        Lost: they were not.
    """
    asked = sum(map(len, answered["seconds"].values()))
    if answered["errors"]:
        told = ", ".join(f"{count} × {what}" for what, count in answered["errors"].items())
        raise Lost(f"beside {asked} searches that were answered, others failed: {told}; see ./agora logs gateway")
    if answered["faults"]:
        told = ", ".join(f"{count} × {what}" for what, count in answered["faults"].items())
        raise Lost(f"of {asked} searches some were answered wrongly: {told}")
    if not answered["observations"]:
        raise Lost(f"none of {asked} searches found a reading")


async def _await_router(platform: Platform) -> None:
    """Wait until the router has nothing left to release, so that a record too many cannot come later."""
    deadline = time.monotonic() + ROUTED_SECONDS
    while left := await platform.lag("agora-router", VITALS):
        if time.monotonic() > deadline:
            raise Lost(f"the router has {left} records left after {ROUTED_SECONDS:.0f} s")
        await asyncio.sleep(POLL_SECONDS)
