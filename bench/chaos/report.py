"""What a run says at its end: in words, and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench.chain.machine import facts
from bench.chaos.faults import Happened, unmet
from bench.chaos.options import Options
from bench.chaos.plan import PLAN_VERSION, Fault, Kind
from bench.chaos.run import Run
from bench.chaos.sizes import sizes
from bench.chaos.times import AT_ENDS, recovery
from bench.chaos.verdict import Check
from bench.chaos.withdrawals import Withdrawn, met_by
from contracts.instants import SECOND
from runtime.version import VERSION


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
    judged, closing = run.facts, run.closing
    return {
        "passed": all(check.passed for check in checks),
        "again": command(run.options),
        "checks": [asdict(check) for check in checks],
        "planted": run.observed.planted,
        "agora": VERSION,
        "machine": facts(),
        "plan_version": PLAN_VERSION,
        "servers": dict(run.versions),
        "options": asdict(run.options),
        "seconds": round(run.observed.elapsed, 1),
        "counts": judged.counts,
        "wrong": {"counts": dict(judged.findings.counts), "examples": judged.findings.examples},
        "apps": {app: {"records": one.records, "repeats": one.repeats, "ids": one.distinct} for app, one in judged.apps.items()},
        "ledger": None if closing is None else asdict(closing) | {"difference": closing.difference, "closed": closing.closed},
        "fleet": run.fleet.snapshot().as_dict() if run.fleet is not None else {},
        "restarts": run.platform.restarts,
        "recovery_seconds": recovery(run.happened),
        "messages_per_raw_record": sizes(judged.logs.raw_records).as_dict(),
        "dealt_and_not_met": unmet(run.happened),
        "withdrawals": [_withdrawal(one, run.happened) for one in run.consenting.made],
        "faults": [_fault(one) for one in run.happened],
        "what_happened": list(run.observed.said),
    }


def _fault(one: Happened) -> dict[str, Any]:
    plan: Fault = one.fault
    found: dict[str, Any] = {"number": plan.number, "at": plan.at, "kind": plan.kind, "target": plan.target}
    found |= {"lasting": plan.seconds, "began": one.began, "back": None if one.back is None else round(one.back, 2)}
    found |= {"done": one.done} | ({"touched": one.touched} if plan.kind in (Kind.CUT, Kind.SLOW) else {})
    found |= {"alone": plan.alone, "met": one.met}
    return found | {name: getattr(one, name) for name in AT_ENDS} | ({"remark": one.remark} if one.remark else {})


def _withdrawal(one: Withdrawn, happened: Sequence[Happened]) -> dict[str, Any]:
    """Tell of a withdrawal which faults it fell into, and how late it was recorded, was heeded and was told; in seconds."""
    met = [{"number": fault.fault.number, "fault": f"{fault.fault.kind} {fault.met}"} for fault in met_by(one, happened)]
    found: dict[str, Any] = {"number": one.plan.number, "fault": one.plan.fault, "seconds": one.plan.seconds, "met": met}
    found |= {"subject": one.subject, "app": one.app, "recorded": round((one.withdrawn_at - one.asked_at) / SECOND, 2)}
    found |= {"last_reading": one.last, "told_to_erase": one.told}
    return found | {"again_after": one.plan.again, "given_again": one.again is not None}
