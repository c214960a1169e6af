"""The machine's clock is set back while the keeper says nothing: the real views, with a wall clock that the test sets."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.instants import SECOND
from contracts.registry import LEASE_SECONDS, AppRecord, ConsentRecord
from contracts.topics import REGISTRY_APPS, REGISTRY_CONSENTS
from deploy.local.stack import Stack
from runtime import clock
from runtime.compacted import CompactedView
from sharing.lease import Lease
from tests.sharing_platform import ensure_running, eventually, kafka_settings


class Wall:
    """A wall clock somebody may set."""

    ahead = 0

    def __call__(self) -> int:
        return clock.now() + self.ahead


@asynccontextmanager
async def following(stack: Stack, wall: Wall) -> AsyncIterator[tuple[Lease, CompactedView[ConsentRecord]]]:
    settings = kafka_settings(stack.settings("router"))
    consents = CompactedView(settings, REGISTRY_CONSENTS, ConsentRecord)
    apps = CompactedView(settings, REGISTRY_APPS, AppRecord)
    await consents.start()
    await apps.start()
    try:
        yield Lease((consents, apps), wall), consents
    finally:
        await consents.stop()
        await apps.stop()


async def test_with_the_clock_set_back_to_the_last_heartbeat_the_lease_does_not_come_back(stack: Stack) -> None:
    ensure_running(stack, "keeper")
    wall = Wall()
    async with following(stack, wall) as (lease, consents):
        await eventually(lease.fresh)
        stack.kill("keeper", signal.SIGSTOP)
        try:
            await asyncio.sleep(2 * LEASE_SECONDS + 1)
            assert not lease.fresh()
            wall.ahead = consents.heartbeat_as_of - clock.now()
            assert abs(wall() - consents.heartbeat_as_of) < SECOND // 10, "the heartbeat looks young"
            assert not lease.fresh()
        finally:
            stack.kill("keeper", signal.SIGCONT)
        wall.ahead = 0
        await eventually(lease.fresh)


async def test_a_view_that_reads_its_topic_anew_takes_no_old_heartbeat_for_a_new_one(stack: Stack) -> None:
    ensure_running(stack, "keeper")
    async with following(stack, Wall()) as (lease, _):
        await eventually(lease.fresh)
    stack.kill("keeper", signal.SIGSTOP)
    try:
        async with following(stack, Wall()) as (_, consents):
            assert consents.heartbeat_as_of == 0
    finally:
        stack.kill("keeper", signal.SIGCONT)
