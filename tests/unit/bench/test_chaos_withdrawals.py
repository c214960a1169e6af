"""Consents are withdrawn while something on their way is away, and a run in which none was says so."""

import pytest

from bench.chaos.faults import Happened
from bench.chaos.plan import Fault, Kind, least_seconds, plan
from bench.chaos.withdrawals import Withdrawal, Withdrawn, met_by, on_path, withdrawals, without_fault
from contracts.instants import SECOND


def happened(target: str = "kafka", acted: int = 10, ended: int = 12, back: float | None = 3.0, done: bool = True) -> Happened:
    return Happened(
        Fault(1, 10.0, Kind.KILL, target), 10.0, acted=acted * SECOND, met=target, ended=ended * SECOND, back=back, done=done
    )


def withdrawn(asked: float, at: float) -> Withdrawn:
    return Withdrawn(Withdrawal(1, 1, 0.5), "p", "app", "c", round(asked * SECOND), round(at * SECOND))


@pytest.mark.parametrize("seed", range(1, 6))
def test_of_200_faults_twenty_on_the_path_meet_a_withdrawal_no_two_alike(seed: int) -> None:
    faults = plan(seed, 200, least_seconds(200))
    found = withdrawals(seed, faults, 1200.0)
    assert found == withdrawals(seed, faults, 1200.0)
    assert len(found) == 20
    met = [next(fault for fault in faults if fault.number == one.fault) for one in found]
    assert all(on_path(fault) for fault in met)
    assert len({(fault.kind, fault.target.removesuffix("-2")) for fault in met}) == 20
    assert all(0.5 <= one.seconds <= 1.0 for one in found)
    assert sum(one.again > 0 for one in found) == 10


def test_a_short_run_has_one_and_one_without_a_fault_on_the_path_has_it_half_way() -> None:
    assert len(withdrawals(9, plan(9, 8, 30.0), 30.0)) == 1
    off_path = plan(9, 8, 30.0, ("mosquitto", "gateway"))
    (only,) = withdrawals(9, [fault for fault in off_path if not on_path(fault)], 30.0)
    assert (only.fault, only.seconds) == (0, 15.0)


def test_what_is_on_the_path_is_router_keeper_kafka_postgres_and_the_links_of_the_first_two() -> None:
    for target in ("router-2", "keeper", "kafka", "postgres", "router-2-kafka", "keeper-postgres"):
        assert on_path(Fault(1, 0.0, Kind.CUT, target)), target
    for target in ("store", "bridge-kafka", "store-2-postgres", "gateway", "gateway-postgres", "devices-mosquitto", "mosquitto"):
        assert not on_path(Fault(1, 0.0, Kind.CUT, target)), target


@pytest.mark.parametrize(
    ("asked", "at", "met"), [(10.5, 10.6, True), (14.9, 15.2, True), (9.0, 16.0, True), (8.0, 9.9, False), (15.1, 15.2, False)]
)
def test_a_withdrawal_meets_a_fault_between_its_beginning_and_the_part_being_back(asked: float, at: float, met: bool) -> None:
    one = happened()
    assert met_by(withdrawn(asked, at), [one]) == ([one] if met else [])
    assert without_fault([withdrawn(asked, at)], [one]) == (not met)


def test_a_fault_elsewhere_or_one_that_did_nothing_is_not_met() -> None:
    for one in (happened("store"), happened(done=False)):
        assert not met_by(withdrawn(10.5, 10.6), [one])


def test_a_run_without_a_fault_on_the_path_does_not_fail_for_it() -> None:
    assert not without_fault([withdrawn(10.5, 10.6)], [happened("store")])
