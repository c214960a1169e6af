"""How soon all goes on after a fault, told only by faults beside which nothing else was wrong. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from statistics import median
from typing import Any

from bench.chaos.faults import Happened
from contracts.instants import SECOND

AT_ENDS = ("stored", "released", "answered")
CEILING_SECONDS = 60.0
"""A fault that nothing else overlaps must be over by then."""
FOR_EVER = 1 << 62


def name_of(one: Happened) -> str:
    """Name what a fault's times belong to: the kind, and the part or link that it was really done to."""
    return f"{one.fault.kind} {(one.met or one.fault.target).removesuffix('-2')}"


def _until(one: Happened, most: float) -> int:
    """Instant in microseconds until which a fault counts as on, so many seconds after its end at most."""
    return one.ended + round((most if one.over is None else min(one.over, most)) * SECOND)


def undisturbed(happened: Sequence[Happened]) -> list[Happened]:
    """Give the faults during which no other was on, each from its beginning until all went on.

    Args:
        happened: all faults, after the run.

    Returns:
        Those that stood alone; also one that was not over within ``CEILING_SECONDS`` although nothing else was wrong by then.
    """
    found: list[Happened] = []
    felt = [one for one in happened if one.done and one.ended]
    for one in felt:
        until = _until(one, CEILING_SECONDS)
        if not any(other is not one and other.acted <= until and one.acted <= _until(other, FOR_EVER / SECOND) for other in felt):
            found.append(one)
    return found


def too_slow(alone: Collection[Happened]) -> list[str]:
    """Name the faults that took longer than ``CEILING_SECONDS`` although nothing else was wrong.

    Args:
        alone: from ``undisturbed``.
    """
    return [
        f"{one.fault.number}: {one.fault} ({'not over' if one.over is None else f'{one.over:.0f} s'})"
        for one in alone
        if one.over is None or one.over > CEILING_SECONDS
    ]


def recovery(happened: Sequence[Happened]) -> dict[str, dict[str, Any]]:
    """Sum up how soon everything went on.

    Args:
        happened: all faults, after the run.

    Returns:
        By kind and part: how many, of these how many met others, and of the rest median and longest time from the fault's end
        until every device's later readings were stored, and released, and the gateway answered.
    """
    alone = undisturbed(happened)
    groups: defaultdict[str, list[Happened]] = defaultdict(list)
    for one in happened:
        groups[name_of(one)].append(one)
    found: dict[str, dict[str, Any]] = {}
    for name, ones in sorted(groups.items()):
        told = [one for one in ones if one in alone]
        found[name] = {"faults": len(ones), "met_others": len(ones) - len(told)}
        for end in AT_ENDS:
            seconds = [value for one in told if (value := getattr(one, end)) is not None]
            if seconds:
                found[name][end] = {"median": round(median(seconds), 2), "longest": max(seconds)}
    return found
