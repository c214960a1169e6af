"""Whatever is done to the wall clock, nothing is released on a knowledge older than the lease and the way of a heartbeat."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from contracts.instants import SECOND
from contracts.registry import LEASE_SECONDS
from sharing.lease import Lease

MOST_ON_THE_WAY = 0.2
EPOCH = 1_700_000_000


@dataclass
class View:
    heartbeat_as_of: int = 0
    heard_at: float = 0.0


class Platform:
    """True time, and a wall clock that is set as somebody likes."""

    def __init__(self) -> None:
        self.true = 1_000.0
        self.ahead = 0.0
        self.known_at = 0.0
        self.view = View()
        self.lease = Lease((self.view,), self.wall, lambda: self.true)

    def wall(self) -> int:
        return round((EPOCH + self.true + self.ahead) * SECOND)

    def beat(self, on_the_way: float) -> None:
        """A heartbeat is made now, and heard a moment later."""
        known_at, as_of = self.true, self.wall()
        self.true += on_the_way
        self.known_at = known_at
        self.view.heartbeat_as_of, self.view.heard_at = as_of, self.true


steps = st.one_of(
    st.tuples(st.just("beat"), st.floats(0, MOST_ON_THE_WAY)),
    st.tuples(st.just("pass"), st.floats(0, 3)),
    st.tuples(st.just("set"), st.one_of(st.floats(-3, 3), st.floats(-100_000, 100_000))),
)


@given(st.lists(steps, max_size=30))
def test_no_step_of_the_clock_lengthens_the_lease(taken: list[tuple[str, float]]) -> None:
    platform = Platform()
    for kind, amount in taken:
        if kind == "beat":
            platform.beat(amount)
        elif kind == "pass":
            platform.true += amount
        else:
            platform.ahead += amount
        if platform.lease.fresh():
            assert platform.true - platform.known_at <= LEASE_SECONDS + MOST_ON_THE_WAY
    platform.beat(0.0)
    assert platform.lease.fresh(), "a step must not keep the router from going on with the next heartbeat"
