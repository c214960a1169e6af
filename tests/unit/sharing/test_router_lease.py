from __future__ import annotations

import asyncio
from dataclasses import dataclass

from contracts.registry import LEASE_SECONDS, WITHDRAWAL_SECONDS
from sharing.lease import LEASE, Lease, seconds_until_last


@dataclass
class View:
    heartbeat_as_of: int
    heard_at: float = 0.0


@dataclass
class Clocks:
    """The wall clock, in microseconds, and the one that goes on steadily, in seconds."""

    now: int = 10_000_000
    elapsed: float = 0.0

    def wall(self) -> int:
        return self.now

    def steady(self) -> float:
        return self.elapsed

    def lease(self, *views: View) -> Lease:
        return Lease(views, self.wall, self.steady)


def test_the_lease_holds_while_both_heartbeats_are_younger_than_half_a_second() -> None:
    clocks, one, other = Clocks(), View(10_000_000), View(10_000_000)
    lease = clocks.lease(one, other)
    assert lease.fresh()
    clocks.now += LEASE - 1
    assert lease.fresh()
    one.heartbeat_as_of = clocks.now
    clocks.now += 1
    assert not lease.fresh()
    other.heartbeat_as_of = clocks.now
    assert lease.fresh()


def test_after_a_suspension_the_wall_clock_alone_ends_the_lease() -> None:
    clocks = Clocks()
    lease = clocks.lease(View(clocks.now))
    assert lease.fresh()
    clocks.now += 10_000_000
    assert not lease.fresh()


def test_a_clock_set_back_does_not_make_an_old_heartbeat_young_again() -> None:
    clocks = Clocks()
    lease = clocks.lease(View(clocks.now))
    clocks.elapsed += LEASE_SECONDS
    assert not lease.fresh()


def test_a_heartbeat_from_the_future_is_no_lease_since_a_clock_was_moved() -> None:
    clocks = Clocks()
    assert not clocks.lease(View(clocks.now + LEASE)).fresh()


def test_there_is_no_lease_before_the_first_heartbeat() -> None:
    assert not Clocks().lease(View(0)).fresh()


async def test_who_waits_goes_on_when_the_heartbeat_is_back() -> None:
    clocks, view = Clocks(), View(0)
    lease = clocks.lease(view)
    waiting = asyncio.create_task(lease.held(asyncio.Event()))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    view.heartbeat_as_of = clocks.now
    assert await asyncio.wait_for(waiting, 1)


async def test_who_waits_without_a_lease_is_let_go_when_the_process_stops() -> None:
    stopping = asyncio.Event()
    stopping.set()
    assert not await Clocks().lease(View(0)).held(stopping)


def test_a_withdrawal_is_told_only_when_no_lease_from_before_it_can_be_left() -> None:
    assert seconds_until_last(heard_at=100.0, elapsed=100.25) == WITHDRAWAL_SECONDS - 0.25
    assert seconds_until_last(heard_at=100.0, elapsed=100.0 + LEASE_SECONDS) > 0
    assert seconds_until_last(heard_at=100.0, elapsed=100.0 + WITHDRAWAL_SECONDS) <= 0
