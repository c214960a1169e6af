"""Times are told by faults that stood alone, and one that stands alone must be over in time."""

from bench.chaos.faults import Happened
from bench.chaos.plan import Fault, Kind
from bench.chaos.times import recovery, too_slow, undisturbed
from contracts.instants import SECOND


def fault(number: int, acted: int, ended: int, over: float | None, target: str = "store", met: str = "") -> Happened:
    one = Happened(Fault(number, float(acted), Kind.KILL, target), float(acted), done=True, met=met or target)
    one.acted, one.ended, one.back = acted * SECOND, ended * SECOND, 1.0
    one.stored = one.released = one.answered = over
    return one


def numbers(*happened: Happened) -> list[int]:
    return [one.fault.number for one in undisturbed(happened)]


def test_a_fault_beside_which_another_was_on_tells_no_time() -> None:
    assert numbers(fault(1, 0, 2, 8.0), fault(2, 20, 22, 8.0)) == [1, 2]
    assert numbers(fault(1, 0, 2, 8.0), fault(2, 9, 12, 8.0), fault(3, 40, 41, 1.0)) == [3], "before the first was over"
    assert numbers(fault(1, 0, 2, None), fault(2, 100, 102, 8.0)) == [1], "what is never over goes beside all that follow"


def test_times_belong_to_what_was_really_met_and_the_others_are_counted() -> None:
    found = recovery(
        [fault(1, 0, 2, 4.0), fault(2, 20, 22, 8.0, "store-2"), fault(3, 40, 41, 3.0), fault(4, 42, 43, 3.0, "router")]
    )
    assert found["kill store"]["faults"] == 3
    assert found["kill store"]["met_others"] == 1
    assert found["kill store"]["stored"] == {"median": 6.0, "longest": 8.0}
    assert found["kill router"] == {"faults": 1, "met_others": 1}
    assert list(recovery([fault(1, 0, 2, 4.0, "bridge-2-kafka", met="bridge-kafka")])) == ["kill bridge-kafka"]


def test_a_fault_that_stands_alone_and_takes_longer_than_a_minute_fails_the_run() -> None:
    assert not too_slow(undisturbed([fault(1, 0, 2, 60.0), fault(2, 70, 72, 5.0)]))
    assert too_slow(undisturbed([fault(1, 0, 2, 61.0), fault(2, 70, 72, 5.0)])) == ["1: kill store (61 s)"]
    assert too_slow(undisturbed([fault(1, 0, 2, None)])) == ["1: kill store (not over)"]
    assert not too_slow(undisturbed([fault(1, 0, 2, 61.0), fault(2, 30, 32, 5.0)])), "another came before the minute was over"
