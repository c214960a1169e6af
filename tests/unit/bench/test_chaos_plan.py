from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from bench.chaos.plan import (
    ALONE_GROUPS,
    ALONE_LASTS,
    ALONE_SECONDS,
    COVERING,
    LINKS,
    PARTS,
    PROCESSES,
    Kind,
    least_seconds,
    plan,
)
from contracts.errors import Misconfigured


def test_the_same_arguments_give_the_same_plan_and_another_seed_another() -> None:
    assert plan(7, 50, 300.0) == plan(7, 50, 300.0)
    assert plan(7, 50, 300.0) != plan(8, 50, 300.0)


def test_each_part_is_hit_and_nothing_begins_before_or_after_its_time() -> None:
    found = plan(1, 24, least_seconds(24))
    known = {name for names in PROCESSES.values() for name in names}
    parts = {fault.target.removesuffix("-2") if fault.target in known else "links" for fault in found}
    assert parts == set(PARTS)
    assert [fault.at for fault in found] == sorted(fault.at for fault in found)
    assert all(4.0 <= fault.at <= 0.9 * least_seconds(24) for fault in found)


def test_links_are_cut_or_slowed_and_processes_killed_frozen_or_restarted() -> None:
    for fault in plan(3, 200, 1500.0):
        assert (fault.target in LINKS) == (fault.kind in (Kind.CUT, Kind.SLOW))
        assert (fault.seconds > 0) == (fault.kind in (Kind.FREEZE, Kind.CUT, Kind.SLOW))
        if fault.kind is Kind.FREEZE and not fault.alone:
            assert 2.0 <= fault.seconds <= 15.0


NAMES = [name for names in PROCESSES.values() for name in names]
KINDS = {
    **{name: {Kind.KILL: 5, Kind.FREEZE: 4, Kind.RESTART: 2} for name in NAMES},
    **{link: {Kind.CUT: 3, Kind.SLOW: 2} for link in LINKS},
}


@pytest.mark.parametrize("seed", range(1, 21))
def test_of_200_faults_each_process_and_each_link_meets_each_kind(seed: int) -> None:
    assert COVERING == 200
    met = {(fault.target, fault.kind) for fault in plan(seed, COVERING, least_seconds(COVERING))}
    assert met == {(name, kind) for name, kinds in KINDS.items() for kind in kinds}


@pytest.mark.parametrize("seed", [3, 7])
def test_a_target_meets_each_of_its_kinds_before_one_comes_again_and_then_as_often_as_weights_say(seed: int) -> None:
    dealt: defaultdict[str, list[Kind]] = defaultdict(list)
    for fault in plan(seed, 1000, least_seconds(1000)):
        dealt[fault.target].append(fault.kind)
    for name, kinds in KINDS.items():
        assert set(dealt[name][: len(kinds)]) == set(kinds), name
        size = sum(kinds.values())
        assert len(dealt[name]) >= size, name
        for start in range(0, len(dealt[name]), size):
            once = Counter(dealt[name][start : start + size])
            assert once <= Counter(kinds), name
            assert once == Counter(kinds) or start + size > len(dealt[name])


def test_only_the_chosen_parts_and_the_links_that_end_at_them_are_disturbed() -> None:
    targets = {fault.target for fault in plan(5, 100, 700.0, ("store", "kafka"))}
    assert {"store", "store-2", "kafka"} <= targets
    assert {"store-postgres", "bridge-kafka"} <= targets
    assert not targets & {"bridge", "bridge-2", "mosquitto", "router-postgres", "devices-mosquitto"}


def test_a_part_that_does_not_exist_is_named() -> None:
    with pytest.raises(Misconfigured, match="zookeeper"):
        plan(1, 1, 10.0, ("zookeeper",))


def test_of_200_faults_one_of_each_kind_of_each_part_and_of_each_servers_links_comes_alone() -> None:
    found = plan(7, COVERING, least_seconds(COVERING))
    alone = [fault for fault in found if fault.alone]
    groups = {
        (fault.target.rpartition("-")[2] if fault.target in LINKS else fault.target.removesuffix("-2"), fault.kind)
        for fault in alone
    }
    assert len(alone) == len(groups) == ALONE_GROUPS == 3 * len(PROCESSES) + 2 * 3
    assert found[: len(alone)] == tuple(alone), "first, before anything has fallen behind"
    assert all(after.at - one.at >= ALONE_SECONDS - 0.1 for one, after in pairwise(found[: len(alone) + 1]))
    assert all(fault.seconds <= ALONE_LASTS for fault in alone)


@pytest.mark.parametrize(("kills", "alone"), [(5, 0), (12, 2), (30, 5)])
def test_in_a_shorter_run_fewer_come_alone_and_never_for_more_than_half_of_it(kills: int, alone: int) -> None:
    assert sum(fault.alone for fault in plan(3, kills, least_seconds(kills))) == alone
    assert not any(fault.alone for fault in plan(3, kills, 30.0))
