"""The verdict: everything that was read is handed to the rules of ``judge`` and ``alerts``, and each check is given words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg
from psycopg import Connection

from bench.chaos import alerts, evidence, judge
from bench.chaos.cast import Cast
from bench.chaos.judge import AppFacts, Findings, Promise, Release
from bench.chaos.load import Value, Written
from contracts.instants import to_text
from runtime.settings import DatabaseSettings
from sharing.fhir.observation import group, identity
from sharing.pseudonyms import AppPseudonyms
from simulators.counts import Sent
from simulators.fleet import Fleet


@dataclass(frozen=True)
class Check:
    """One thing that must hold.

    Attributes:
        name: in words.
        passed: whether it does.
        detail: what was seen.
    """

    name: str
    passed: bool
    detail: str


@dataclass
class Facts:
    """All that is to be judged."""

    cast: Cast
    written: Written
    fleet: Fleet
    pseudonyms: dict[str, AppPseudonyms]
    logs: evidence.Logs
    released: dict[str, list[Release]]
    database: DatabaseSettings
    withdrawn: dict[str, int]
    calm_until: int
    findings: Findings = field(default_factory=Findings)
    counts: dict[str, int] = field(default_factory=dict)
    apps: dict[str, AppFacts] = field(default_factory=dict)

    @cached_property
    def sent(self) -> dict[str, dict[str, Sent]]:
        """By device and correlation, every letter."""
        return self.fleet.sent()

    @cached_property
    def receipted(self) -> dict[str, frozenset[str]]:
        """By device, correlations that got a receipt."""
        return self.fleet.receipted()

    def sequences(self, device: str, correlations: Any) -> set[int]:
        """Give the numbers of a device's letters; garbage has none."""
        letters = self.sent[device]
        return {number for one in correlations if (number := letters[one].sequence) is not None}


def judge_all(facts: Facts) -> list[Check]:
    """Judge everything.

    Args:
        facts: the findings and counts are added to them.

    Returns:
        The checks.
    """
    with psycopg.connect(facts.database.conninfo(), autocommit=True) as connection:
        _rows(facts, connection)
        raised = evidence.raised(connection)
    _orders(facts)
    for app in facts.cast.access:
        facts.apps[app] = judge_topic(facts, app)
    missing, strange = _alerts(facts, raised)
    found, counts = facts.findings, facts.counts
    stored = ("lost", "doubled", "changed", "invented", "quarantined though valid")
    shared = ("without consent", "withheld", "changed on the way to an app")
    distinct = ", ".join(f"{app} {one.distinct} ids in {one.records} records" for app, one in facts.apps.items())
    return [
        _check(
            "what was receipted is stored once and unchanged, and garbage is in quarantine",
            found,
            stored,
            f"{counts['compared']} messages",
        ),
        _check("each app's topic holds what consent allows, and nothing else", found, shared, distinct),
        _check("the order of each device is kept at each stage", found, ("overtaken",), f"{counts['receipted']} messages"),
        Check(
            "alerts are those of an undisturbed run",
            bool(raised) and not missing and not strange and not facts.logs.contradictions,
            f"{len(raised)} raised, {len(missing)} missing, {len(strange)} that no undisturbed run raises,"
            f" {len(facts.logs.contradictions)} told in two ways" + _shown([*missing, *strange, *facts.logs.contradictions]),
        ),
    ]


def _check(name: str, found: Findings, kinds: tuple[str, ...], scope: str) -> Check:
    return Check(name, not any(found.counts[kind] for kind in kinds), f"{scope}: {found.words(*kinds)}")


def _shown(examples: list[Any]) -> str:
    return f": {'; '.join(str(one) for one in examples[:3])}" if examples else ""


def _rows(facts: Facts, connection: Connection[Any]) -> None:
    counts: defaultdict[str, int] = defaultdict(int)
    kept = evidence.kept(connection)
    judge.judge_quarantine(facts.findings, kept)
    correlations = {one.correlation for one in kept}
    for device, subject in facts.cast.subjects.items():
        receipted = facts.sequences(device, facts.receipted[device])
        unanswered = facts.sequences(device, facts.sent[device].keys()) - receipted
        expected, optional = _values(facts.written, device, receipted), _values(facts.written, device, unanswered)
        quarantined = {one.sequence for one in kept if one.device == device and one.sequence is not None}
        rows = list(evidence.rows_of(connection, device))
        judge.judge_rows(facts.findings, device, expected, optional, [row[:2] for row in rows], quarantined)
        for value, _, whose in rows:
            if whose != subject:
                facts.findings.add("changed", f"{device} message {value.sequence} stands under another subject")
        garbage = {one for one in facts.receipted[device] if facts.sent[device][one].garbage}
        judge.judge_garbage(facts.findings, device, garbage, correlations)
        counts["receipted"] += len(receipted)
        counts["garbage"] += len(garbage)
        counts["compared"] += len(receipted) + len(garbage)
        counts["rows"] += len(rows)
        counts["quarantined"] += len(quarantined)
    facts.counts.update(counts)


def _values(written: Written, device: str, sequences: set[int]) -> dict[Value, float]:
    return {value: said for sequence in sequences for value, said in written.values(device, sequence)}


def _orders(facts: Facts) -> None:
    sent_again = facts.fleet.sent_again()
    for device in facts.cast.subjects:
        raw = [one.sequence for one in facts.logs.arrivals.get(device, [])]
        again = facts.sequences(device, sent_again[device])
        judge.judge_raw_order(facts.findings, device, raw, again)
        judge.judge_same_order(facts.findings, device, raw, facts.logs.vitals.get(device, []), "vitals")
    facts.counts["raw_messages"] = facts.logs.raw_messages


def judge_topic(facts: Facts, app: str) -> AppFacts:
    """Judge an app's topic: what stands there, in which order, and what a consent that ended let through.

    Args:
        facts: the findings and counts are added to them.
        app: its name.

    Returns:
        How the topic looks.
    """
    ended = {person.subject: facts.withdrawn[person.subject] for person in facts.cast.people if person.withdraws_from == app}
    promised = promises(facts, app, ended)
    seen = judge.judge_app(facts.findings, app, promised, facts.released[app], ended)
    for device, order in seen.order.items():
        judge.judge_same_order(facts.findings, device, facts.logs.vitals.get(device, []), order, app)
    if ended:
        _ended(facts, app, promised, seen, ended)
    facts.counts[f"promised to {app}"] = sum(one.required for one in promised.values())
    return seen


def _ended(facts: Facts, app: str, promised: dict[str, Promise], seen: AppFacts, ended: dict[str, int]) -> None:
    """Look at each device of those who withdrew, also where the app got nothing of it."""
    untold = 0
    for device, subject in sorted({(one.device, one.subject) for one in promised.values() if one.subject in ended}):
        order = seen.order.get(device, [])
        judge.judge_prefix(facts.findings, app, device, facts.logs.vitals.get(device, []), order)
        first = min((one.received_at for one in facts.logs.arrivals.get(device, [])), default=None)
        calm_until = min(facts.calm_until, ended[subject])
        untold += not judge.judge_begun(facts.findings, app, device, first, calm_until, len(order))
    facts.counts[f"devices of which {app} rightly got nothing"] = untold


def promises(facts: Facts, app: str, ended: Collection[str]) -> dict[str, Promise]:
    """Work out all that an app may have seen, from what was sent, who consents and the app's names; the router is not asked.

    Args:
        facts: of the run.
        app: its name.
        ended: subjects whose consent ended on the way: of theirs, nothing must be there.

    Returns:
        By id of the Observation.
    """
    names = facts.pseudonyms[app]
    found: dict[str, Promise] = {}
    for device, subject in facts.cast.subjects.items():
        consent = facts.cast.consents.get((subject, app))
        if consent is None:
            continue
        receipted = facts.sequences(device, facts.receipted[device])
        for sequence in facts.sequences(device, facts.sent[device].keys()):
            shared = [one for one in facts.written.observations(device, subject, sequence, 0) if one.vital in consent.vitals]
            for readings in group(shared):
                values = tuple((one.vital, one.value) for one in readings)
                shown = (names.subject(subject), to_text(readings[0].effective_at), values)
                required = sequence in receipted and subject not in ended
                found[names.reading(identity(readings))] = Promise(device, sequence, subject, shown, required)
    return found


def _alerts(facts: Facts, raised: set[alerts.Raised]) -> tuple[list[alerts.Raised], list[alerts.Raised]]:
    expected = alerts.expected(facts.logs.arrivals, facts.cast.subjects, facts.written)
    facts.counts["alerts"] = len(raised)
    return sorted(expected - raised), sorted(raised - expected)
