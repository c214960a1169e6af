"""What a run says at its end: in words, and as JSON."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from bench.chaos.faults import Happened
from bench.chaos.options import Options
from bench.chaos.plan import Fault, Kind
from bench.chaos.run import Run
from bench.chaos.verdict import Check
from runtime.version import VERSION

AT_ENDS = ("stored", "released", "answered")


def command(options: Options) -> str:
    """Give the command that runs the same plan again."""
    parts = ["./agora", "chaos", "--seed", str(options.seed), "--kills", str(options.kills), "--seconds", f"{options.seconds:g}"]
    parts += ["--rate", f"{options.rate:g}"]
    if options.only:
        parts += ["--only", ",".join(options.only)]
    if options.plants:
        parts += ["--plant", ",".join(options.plants)]
    return shlex.join(parts)


def report(run: Run, checks: Sequence[Check]) -> dict[str, Any]:
    """Make the report.

    Args:
        run: after its end.
        checks: what it gave.

    Returns:
        Plain values, for JSON.
    """
    facts, closing = run.facts, run.closing
    return {
        "passed": all(check.passed for check in checks),
        "again": command(run.options),
        "checks": [asdict(check) for check in checks],
        "planted": run.observed.planted,
        "agora": VERSION,
        "servers": dict(run.versions),
        "options": asdict(run.options),
        "seconds": round(run.observed.elapsed, 1),
        "counts": facts.counts,
        "wrong": {"counts": dict(facts.findings.counts), "examples": facts.findings.examples},
        "apps": {app: {"records": one.records, "repeats": one.repeats, "ids": one.distinct} for app, one in facts.apps.items()},
        "ledger": None if closing is None else asdict(closing) | {"difference": closing.difference, "closed": closing.closed},
        "fleet": run.fleet.snapshot().as_dict() if run.fleet is not None else {},
        "restarts": run.platform.restarts,
        "recovery_seconds": recovery(run.happened),
        "faults": [_fault(one) for one in run.happened],
        "what_happened": list(run.observed.said),
    }


def _fault(one: Happened) -> dict[str, Any]:
    plan: Fault = one.fault
    found: dict[str, Any] = {"number": plan.number, "at": plan.at, "kind": plan.kind, "target": plan.target}
    found |= {"lasting": plan.seconds, "began": one.began, "back": None if one.back is None else round(one.back, 2)}
    found |= {"done": one.done} | ({"touched": one.touched} if plan.kind in (Kind.CUT, Kind.SLOW) else {})
    return found | {name: getattr(one, name) for name in AT_ENDS} | ({"remark": one.remark} if one.remark else {})


def recovery(happened: Iterable[Happened]) -> dict[str, dict[str, Any]]:
    """Sum up how soon everything went on.

    Args:
        happened: all faults.

    Returns:
        By kind and part: how many, and median and longest time from the fault's end until every device's later readings were
        stored, and released, and the gateway answered.
    """
    groups: defaultdict[str, list[Happened]] = defaultdict(list)
    for one in happened:
        groups[f"{one.fault.kind} {one.fault.target.removesuffix('-2')}"].append(one)
    found: dict[str, dict[str, Any]] = {}
    for name, ones in sorted(groups.items()):
        found[name] = {"faults": len(ones)}
        for end in AT_ENDS:
            seconds = [value for one in ones if (value := getattr(one, end)) is not None]
            if seconds:
                found[name][end] = {"median": round(median(seconds), 2), "longest": max(seconds)}
    return found
