from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sharing.lease import LEASE, Lease


@dataclass
class View:
    heartbeat_as_of: int


@dataclass
class Clock:
    now: int = 10_000_000

    def __call__(self) -> int:
        return self.now


def test_the_lease_holds_while_both_heartbeats_are_younger_than_half_a_second() -> None:
    clock, one, other = Clock(), View(10_000_000), View(10_000_000)
    lease = Lease((one, other), clock)
    assert lease.fresh()
    clock.now += LEASE - 1
    assert lease.fresh()
    one.heartbeat_as_of = clock.now
    clock.now += 1
    assert not lease.fresh()
    other.heartbeat_as_of = clock.now
    assert lease.fresh()


def test_after_a_suspension_the_wall_clock_alone_ends_the_lease() -> None:
    clock = Clock()
    lease = Lease((View(clock.now),), clock)
    assert lease.fresh()
    clock.now += 10_000_000
    assert not lease.fresh()


def test_a_heartbeat_from_the_future_is_no_lease_since_a_clock_was_moved() -> None:
    clock = Clock()
    lease = Lease((View(clock.now + LEASE),), clock)
    assert not lease.fresh()


def test_there_is_no_lease_before_the_first_heartbeat() -> None:
    assert not Lease((View(0),), Clock()).fresh()


async def test_who_waits_goes_on_when_the_heartbeat_is_back() -> None:
    clock, view = Clock(), View(0)
    lease = Lease((view,), clock)
    waiting = asyncio.create_task(lease.held(asyncio.Event()))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    view.heartbeat_as_of = clock.now
    assert await asyncio.wait_for(waiting, 1)


async def test_who_waits_without_a_lease_is_let_go_when_the_process_stops() -> None:
    stopping = asyncio.Event()
    stopping.set()
    assert not await Lease((View(0),), Clock()).held(stopping)
