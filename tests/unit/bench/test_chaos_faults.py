"""One fault: done to what runs and to connections that are there, and told where there was nothing to do it to."""

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.chaos.faults import Faults, Happened, undone, unmet
from bench.chaos.plan import Fault, Kind
from bench.chaos.proxy import Link, Proxy
from deploy.local.child import Identity

NOBODY = Identity(2**31 - 1)
"""A process that can not be."""


@dataclass(eq=False)
class Counted(Proxy):
    """A proxy whose connections are only counted: so many looks until the fault meets one, 0 for never."""

    looks: int = 0
    mended: int = 0
    _seen: int = 0

    def touched(self, link: str) -> int:
        """Meet one after so many looks."""
        self._seen += 1
        return int(0 < self.looks <= self._seen)

    def mend(self, link: str) -> None:
        """Count it."""
        super().mend(link)
        self.mended += 1


@dataclass
class Parts:
    """What is disturbed: a process that answers, and signals that reach it or not, one after the other."""

    reached: Sequence[bool] = ()
    runs: bool = True
    links: dict[str, Counted] = field(default_factory=dict)
    sent: list[signal.Signals] = field(default_factory=list)

    async def signal(self, name: str, number: signal.Signals) -> Identity | None:
        """Note it."""
        self.sent.append(number)
        return NOBODY if self.reached[len(self.sent) - 1] else None

    async def wait_gone(self, identity: Identity, seconds: float) -> bool:
        """End at once."""
        return True

    async def wait_answer(self, name: str, seconds: float) -> bool:
        """Answer at once, or never."""
        return self.runs

    def link(self, name: str) -> Link:
        """Give it."""
        return Link(name, [self.links[name]])


def counted(looks: int) -> Counted:
    return Counted(0, 0, "", looks=looks)


async def done(parts: Parts, kind: Kind, target: str, seconds: float = 0.0) -> Happened:
    happened = Happened(Fault(1, 0.0, kind, target, seconds), 0.0)
    await asyncio.wait_for(Faults(parts, lambda: 1, patience=0.2).do(happened), 10)
    assert happened.ended == 1
    return happened


async def test_a_link_is_disturbed_until_somebody_comes_by_it() -> None:
    for kind in (Kind.CUT, Kind.SLOW):
        link = counted(looks=3)
        happened = await done(Parts(links={"gateway-postgres": link}), kind, "gateway-postgres", 0.1)
        assert (happened.done, happened.touched, happened.remark, link.mended) == (True, 1, "", 1)
        assert not undone([happened])


async def test_a_link_that_nobody_uses_is_told_and_fails_the_run() -> None:
    link = counted(looks=0)
    happened = await done(Parts(links={"gateway-postgres": link}), Kind.CUT, "gateway-postgres", 0.1)
    assert (happened.done, happened.touched, link.mended) == (False, 0, 1)
    assert undone([happened]) == ["1: cut gateway-postgres for 0.1 s (nothing came by it, and nothing was done)"]


async def test_a_process_that_does_not_run_is_told_and_fails_the_run() -> None:
    parts = Parts(runs=False)
    happened = await done(parts, Kind.KILL, "store")
    assert not happened.done
    assert not parts.sent
    assert undone([happened]) == ["1: kill store (it did not run, and nothing was done)"]


async def test_a_process_that_died_in_the_very_moment_is_disturbed_once_it_is_back() -> None:
    killed = Parts(reached=(False, True))
    assert (await done(killed, Kind.KILL, "store")).done
    assert killed.sent == [signal.SIGKILL, signal.SIGKILL]
    frozen = Parts(reached=(False, True, True))
    assert (await done(frozen, Kind.FREEZE, "store")).done
    assert frozen.sent == [signal.SIGSTOP, signal.SIGSTOP, signal.SIGCONT]


async def test_signals_that_never_reach_anybody_are_no_fault() -> None:
    for kind in (Kind.KILL, Kind.FREEZE, Kind.RESTART):
        happened = await done(Parts(reached=(False,) * 9), kind, "store")
        assert not happened.done
        assert undone([happened])


async def test_a_fault_that_never_began_is_no_fault() -> None:
    assert undone([Happened(Fault(4, 1.0, Kind.KILL, "store"), 1.0)]) == ["4: kill store (not begun)"]


async def test_a_link_of_a_process_that_stands_by_is_not_met_by_its_twins() -> None:
    parts = Parts(links={"bridge-kafka": counted(looks=1), "bridge-2-kafka": counted(looks=0)})
    own, twin = await done(parts, Kind.CUT, "bridge-kafka", 0.1), await done(parts, Kind.CUT, "bridge-2-kafka", 0.1)
    assert (own.met, own.remark, twin.met) == ("bridge-kafka", "", "bridge-kafka")
    assert twin.done
    assert "bridge-kafka was meant instead" in twin.remark
    assert unmet([own, twin]) == ["cut bridge-2-kafka"]
    slow = await done(Parts(links={"bridge-2-kafka": counted(looks=1)}), Kind.SLOW, "bridge-2-kafka", 0.1)
    assert unmet([own, twin, slow]) == ["cut bridge-2-kafka"], "slowed is not cut"
