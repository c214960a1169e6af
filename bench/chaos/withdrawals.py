"""Which consents are withdrawn on the way, and in which fault: pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from bench.chaos.faults import Happened
from bench.chaos.plan import PROCESSES, Fault
from contracts.registry import ConsentRecord

ON_PATH = {name for part in ("router", "keeper", "kafka", "postgres") for name in PROCESSES[part]}
"""A withdrawal is committed in PostgreSQL, goes by the keeper through Kafka, and the routers must heed it."""
CLIENTS_ON_PATH = ("router", "keeper")
FAULTS_EACH = 10
"""One withdrawal for so many faults, one at least."""
AFTER_SECONDS = (0.5, 1.0)
HALF_WAY = 0.5
AGAIN_SECONDS = (4.0, 8.0)


@dataclass(frozen=True)
class Withdrawal:
    """A patient who takes a consent back.

    Attributes:
        number: 1, 2, …
        fault: number of the fault in which it is done; 0 where the plan has none that could matter.
        seconds: after the beginning of that fault, or where there is none of the load.
        again: seconds after which the patient consents anew; 0 where not.
    """

    number: int
    fault: int
    seconds: float
    again: float = 0.0


@dataclass
class Withdrawn:
    """A withdrawal that was made, and what came of it.

    Attributes:
        plan: which.
        subject: whose.
        app: from which app.
        consent: id of what was withdrawn.
        asked_at: instant in microseconds at which the patient first tried.
        withdrawn_at: instant in its record.
        again: the new consent, where one was given.
        told: seconds from ``withdrawn_at`` until the app was first told to erase; None where it was not.
        last: seconds from ``withdrawn_at`` to the last reading that was appended under it; below 0 before; None where none was.
    """

    plan: Withdrawal
    subject: str
    app: str
    consent: str
    asked_at: int
    withdrawn_at: int
    again: ConsentRecord | None = None
    told: float | None = None
    last: float | None = None


def on_path(fault: Fault) -> bool:
    """Tell whether a fault meets the way that a withdrawal goes: router, keeper, Kafka, PostgreSQL, or their links."""
    return fault.target in ON_PATH or fault.target.partition("-")[0] in CLIENTS_ON_PATH


def withdrawals(seed: int, faults: Sequence[Fault], seconds: float) -> tuple[Withdrawal, ...]:
    """Choose withdrawals: each in a fault on its path, of as many kinds and targets as there can be.

    Args:
        seed: the same seed and faults give the same.
        faults: of the plan.
        seconds: length of the load.

    Returns:
        In the order of their faults; one half-way where no fault could matter.
    """
    chance = Random(f"{seed}/withdrawals")  # noqa: S311 - reproducible on purpose
    chosen = _chosen([fault for fault in faults if on_path(fault)], max(1, round(len(faults) / FAULTS_EACH)), chance)
    found = []
    for number, fault in enumerate(chosen, 1):
        again = chance.uniform(*AGAIN_SECONDS)
        found.append(Withdrawal(number, fault, round(chance.uniform(*AFTER_SECONDS), 2), round(again, 2) if number % 2 else 0.0))
    return tuple(found) or (Withdrawal(1, 0, round(HALF_WAY * seconds, 2)),)


def _chosen(faults: Sequence[Fault], count: int, chance: Random) -> list[int]:
    """Choose faults, one of each kind at each target before another of the same."""
    groups: defaultdict[tuple[str, str], list[Fault]] = defaultdict(list)
    for fault in chance.sample(faults, len(faults)):
        groups[fault.kind, fault.target.removesuffix("-2")].append(fault)
    ranked = sorted((place, fault.number) for ones in groups.values() for place, fault in enumerate(ones))
    first = [number for place, number in ranked if place == 0]
    chance.shuffle(first)
    return sorted([*first, *(number for place, number in ranked if place)][:count])


def met_by(withdrawn: Withdrawn, happened: Iterable[Happened]) -> list[Happened]:
    """Find the faults on its path that a withdrawal fell into.

    Args:
        withdrawn: a withdrawal that was made.
        happened: all faults, after the run.

    Returns:
        Those that were felt at some instant between the patient's first try and the record, until the part was back.
    """
    return [
        one
        for one in happened
        if on_path(one.fault) and one.done and one.acted <= withdrawn.withdrawn_at and withdrawn.asked_at <= one.lasted_until
    ]


def without_fault(made: Collection[Withdrawn], happened: Collection[Happened]) -> bool:
    """Tell whether a run shows nothing about withdrawals in faults, although it had a fault that could have mattered."""
    return any(on_path(one.fault) for one in happened) and not any(met_by(one, happened) for one in made)
