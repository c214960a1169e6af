"""The demo's verdict: what must hold, checked on what is stored and on what the apps received, and the report as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg import Connection

from bench.audit import Audit, compare, read_quarantined, read_stored
from cli.demo.meters import percentile
from cli.demo.run import Demo
from cli.demo.show import STEPS
from contracts.instants import to_datetime
from deploy.local.instance import PROCESSES
from runtime.version import VERSION
from sharing.accesses import withdrawal_evidence

MILLISECONDS = 1000.0


@dataclass(frozen=True)
class Check:
    """One thing that must hold.

    Attributes:
        name: in words.
        passed: whether it does.
        detail: what was seen.
        too_early: whether it fails only for want of something that a demo cut short by Ctrl-C may not have come to.
    """

    name: str
    passed: bool
    detail: str
    too_early: bool = False


@dataclass(frozen=True)
class Facts:
    """What the database says of this run."""

    readings_by_subject: dict[str, int]
    quarantine: list[dict[str, Any]]
    alerts: dict[str, int]
    accesses: list[dict[str, Any]]
    audit: Audit


async def write(demo: Demo) -> dict[str, Any]:
    """Check everything and make the report.

    Args:
        demo: after its run, everything still up.

    Returns:
        The report; ``checks`` holds what must be true, ``passed`` whether all of it is.
    """
    strangers = await _ask_for_strangers(demo)
    with psycopg.connect(demo.database.conninfo(), autocommit=True) as connection:
        facts = _facts(connection, demo)
        evidence = _evidence(connection, demo)
    cut_short = demo.observed.cut_short
    checks = [check for check in _checks(demo, facts, evidence, strangers) if not (cut_short and check.too_early)]
    return {
        "passed": all(check.passed for check in checks),
        "checks": [{"name": check.name, "passed": check.passed, "detail": check.detail} for check in checks],
        "cut_short": cut_short,
        "agora": VERSION,
        "servers": demo.view.state().versions,
        "seconds": round(demo.observed.elapsed, 1),
        "speed": demo.options.speed,
        "patients": [
            {"subject": role.subject, "recorded": role.recorded, "shares_with": role.shares_with} for role in demo.cast.roles
        ],
        "devices": len(demo.cast.devices),
        "fleet": demo.fleet.snapshot().as_dict(),
        "audit": asdict(facts.audit),
        "ledger": _ledger(demo),
        "readings_by_subject": facts.readings_by_subject,
        "quarantine": facts.quarantine,
        "alerts": facts.alerts,
        "apps": _apps(demo),
        "accesses": facts.accesses,
        "withdrawal": evidence,
        "kills": [asdict(kill) for kill in demo.observed.kills],
        "latency_milliseconds": _latency(demo),
        "what_happened": list(demo.observed.said),
    }


def _ledger(demo: Demo) -> dict[str, Any] | None:
    closing = demo.observed.closing
    return None if closing is None else asdict(closing) | {"difference": closing.difference, "closed": closing.closed}


def _facts(connection: Connection[Any], demo: Demo) -> Facts:
    since = to_datetime(demo.observed.started_at)
    readings = connection.execute(
        "SELECT s.name, count(*) FROM observations o JOIN subjects s USING (subject_key) WHERE o.received_at >= %s GROUP BY 1",
        [since],
    ).fetchall()
    quarantine = connection.execute(
        "SELECT stage, code, min(words), min(field), sum(messages)::integer FROM quarantine WHERE quarantined_at >= %s"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        [since],
    ).fetchall()
    alerts = connection.execute(
        "SELECT transition, count(*) FROM alert_transitions WHERE stored_at >= %s GROUP BY 1", [since]
    ).fetchall()
    accesses = connection.execute(
        "SELECT app, channel, outcome, reason, sum(readings)::integer, count(*) FROM access_log WHERE at >= %s"
        " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
        [since],
    ).fetchall()
    columns = ("stage", "code", "words", "field", "messages")
    access_columns = ("app", "channel", "outcome", "reason", "readings", "entries")
    return Facts(
        dict(readings),
        [dict(zip(columns, row, strict=True)) for row in quarantine],
        dict(alerts),
        [dict(zip(access_columns, row, strict=True)) for row in accesses],
        compare(demo.fleet.sent(), demo.fleet.receipted(), read_stored(connection, since), read_quarantined(connection, since)),
    )


def _evidence(connection: Connection[Any], demo: Demo) -> dict[str, Any] | None:
    if not demo.observed.withdrawn:
        return None
    found = withdrawal_evidence(connection, demo.observed.withdrawn)
    return {name: str(value) for name, value in asdict(found).items()} | {
        "seconds_after": found.seconds_after,
        "holds": found.holds,
        "told": found.app_told_at is not None,
        # Nothing before it or nothing withheld since proves nothing.
        "shown": found.last_released_at is not None and found.readings_withheld > 0,
    }


async def _ask_for_strangers(demo: Demo) -> dict[str, int | None]:
    """Let each app ask for a patient who shares nothing with it, by the very id it would know that patient under.

    Returns:
        Entries by app; None where the gateway gave no answer, which proves nothing.
    """
    stranger = next((role for role in demo.cast.roles if not role.shares_with), None)
    if stranger is None:
        return {}
    answers = await asyncio.gather(
        *(reader.ask(demo.pseudonyms[name].subject(stranger.subject)) for name, reader in demo.readers.items())
    )
    return {name: None if found is None else len(found) for name, found in zip(demo.readers, answers, strict=True)}


def _checks(demo: Demo, facts: Facts, evidence: dict[str, Any] | None, strangers: dict[str, int | None]) -> Iterator[Check]:
    yield from _delivery(demo, facts)
    yield from _sharing(demo, strangers)
    if evidence is not None:
        yield Check(
            "a withdrawal took effect within a second, and the app was told",
            bool(evidence["holds"] and evidence["told"] and evidence["shown"]),
            f"last record {evidence['seconds_after']:.3f} s after it; {evidence['readings_withheld']} readings withheld since",
            not evidence["shown"],
        )
    if demo.options.kills:
        killed = {kill.process for kill in demo.observed.kills}
        yield Check(
            "each process was killed once and came back",
            killed == set(PROCESSES),
            ", ".join(sorted(killed)),
            killed != set(PROCESSES),
        )


def _delivery(demo: Demo, facts: Facts) -> Iterator[Check]:
    observed, closing = demo.observed, demo.observed.closing
    counts = demo.fleet.snapshot()
    yield Check(
        "every message of every device got its receipt",
        observed.drained,
        f"{counts.receipted} receipted, {counts.outstanding} outstanding, {counts.resent} sent again",
    )
    audit = facts.audit
    yield Check(
        "what was receipted is stored once or in quarantine",
        audit.compared > 0 and not audit.lost and not audit.doubled,
        f"{audit.compared} messages compared one by one: {audit.lost} lost, {audit.doubled} doubled",
        not audit.compared,
    )
    told = "not read"
    if closing is not None:
        told = f"difference {closing.difference}, {closing.in_flight} in flight, {sum(closing.lag.values())} records behind"
    yield Check("the ledger closes", closing is not None and closing.closed, told)
    for recorded, words in ((True, "recorded"), (False, "synthetic")):
        stored = sum(facts.readings_by_subject.get(role.subject, 0) for role in demo.cast.roles if role.recorded is recorded)
        yield Check(f"{words} patients' readings are stored", stored > 0, f"{stored} readings", not stored)
    reasons = all(entry["code"] and entry["words"] for entry in facts.quarantine)
    kept = sum(entry["messages"] for entry in facts.quarantine)
    yield Check("bad input is in quarantine, each with its reason", kept > 0 and reasons, f"{kept} messages", not kept)


def _sharing(demo: Demo, strangers: dict[str, int | None]) -> Iterator[Check]:
    for name, reader in demo.readers.items():
        served = reader.records > 0 and reader.queries[200] > 0
        yield Check(
            f"{name} is served, on its topic and by FHIR",
            served,
            f"{reader.records} records, {reader.queries[200]} answers",
            not served,
        )
        allowed = {demo.pseudonyms[name].subject(role.subject) for role in demo.cast.roles if name in role.shares_with}
        foreign = set(reader.subjects) - allowed
        read = "its whole topic" if reader.is_complete else "NOT its whole topic"
        yield Check(
            f"{name} sees only patients who consented",
            reader.is_complete and not foreign and strangers.get(name, 0) == 0,
            f"{read} read: {len(reader.subjects)} patients seen, {len(foreign)} without consent; {_told(strangers.get(name, 0))}",
        )


def _told(entries: int | None) -> str:
    return "no answer when asked by id" if entries is None else f"{entries} entries by id"


def _apps(demo: Demo) -> dict[str, Any]:
    return {
        name: {
            "records": reader.records,
            "repeats": reader.repeats,
            "patients": len(reader.subjects),
            "told_to_erase": reader.withdrawals,
            "fhir_answers": {str(status): count for status, count in reader.queries.items()},
            "fhir_p50_milliseconds": _milliseconds(percentile(reader.seconds, 0.5)),
            "fhir_p99_milliseconds": _milliseconds(percentile(reader.seconds, 0.99)),
        }
        for name, reader in demo.readers.items()
    } | {"withheld_readings": demo.observed.meters.by("agora_sharing_readings_refused_total", "reason")}


def _latency(demo: Demo) -> dict[str, Any]:
    parts = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {
        words: {name: _milliseconds(demo.observed.meters.quantile(seconds, part)) for name, part in parts.items()}
        for words, _, _, seconds in STEPS
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * MILLISECONDS, 1)
