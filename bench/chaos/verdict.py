"""The verdict: everything that was read is handed to the rules of ``judge`` and ``alerts``, and each check is given words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg
from psycopg import Connection

from bench.chaos import alerts, evidence, judge, judge_apps, nurse
from bench.chaos.cast import Cast
from bench.chaos.judge import Findings
from bench.chaos.judge_apps import AppFacts, Promise
from bench.chaos.load import Value, Written
from bench.chaos.withdrawals import Withdrawn
from contracts.instants import SECOND, to_text
from contracts.registry import ConsentRecord
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
    topics: dict[str, evidence.AppTopic]
    database: DatabaseSettings
    withdrawn: list[Withdrawn]
    calm_until: int
    acknowledged: Collection[str] = ()
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

    @cached_property
    def consents(self) -> dict[tuple[str, str], list[ConsentRecord]]:
        """By subject and app, all consents as they are at the end."""
        found = {key: [record] for key, record in self.cast.consents.items()}
        for one in self.withdrawn:
            held = found[one.subject, one.app]
            held[0] = held[0].model_copy(update={"withdrawn_at": one.withdrawn_at})
            held += [one.again] if one.again is not None else []
        return found

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
        said = nurse.acknowledgements(connection)
    _orders(facts)
    for app in facts.cast.access:
        facts.apps[app] = judge_topic(facts, app)
    missing, strange = _alerts(facts, raised)
    found, counts = facts.findings, facts.counts
    stored = ("lost", "doubled", "changed", "invented", "quarantined though valid")
    shared = ("without consent", "withheld", "changed on the way to an app", "not told to erase", "after the word to erase")
    distinct = ", ".join(f"{app} {one.distinct} ids in {one.records} records" for app, one in facts.apps.items())
    return [
        _check(
            "what was receipted is stored once and unchanged, and garbage is in quarantine",
            found,
            stored,
            f"{counts['compared']} messages",
        ),
        _check("each app's topic holds what consent allows, and nothing else", found, shared, distinct),
        _order_check(found, counts),
        Check(
            "alerts are those of an undisturbed run",
            bool(raised) and not missing and not strange and not facts.logs.contradictions,
            f"{len(raised)} raised, {len(missing)} missing, {len(strange)} that no undisturbed run raises,"
            f" {len(facts.logs.contradictions)} told in two ways" + _shown([*missing, *strange, *facts.logs.contradictions]),
        ),
        _words_check(facts.acknowledged, *said),
    ]


def _check(name: str, found: Findings, kinds: tuple[str, ...], scope: str) -> Check:
    return Check(name, not any(found.counts[kind] for kind in kinds), f"{scope}: {found.words(*kinds)}")


def _order_check(found: Findings, counts: dict[str, int]) -> Check:
    messages, excused = counts["arrived"], counts["excused"]
    scope = f"{messages} messages, {counts['sent again']} of them sent again, {messages - excused} stand in their order"
    scope += f" and {excused} came late because they were sent again"
    check = _check("the order of each device is kept at each stage", found, ("overtaken",), scope)
    if judge.enough_judged(messages, excused):
        return check
    return Check(check.name, False, f"{check.detail}; too many are excused for the check to show anything")


def _words_check(taken: Collection[str], acknowledged: set[str], resolved: set[str]) -> Check:
    lost, late = nurse.judge_words(taken, acknowledged, resolved)
    told = f"{len(taken)} taken, {len(lost)} lost, {late} came when the alert was resolved" + _shown(list(lost))
    return Check("what a person said about an alert is kept", nurse.words_hold(len(taken), len(lost), late), told)


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
    sent_again, counts = facts.fleet.sent_again(), facts.counts
    counts |= {"arrived": 0, "excused": 0, "sent again": 0}
    for device in facts.cast.subjects:
        raw = [one.sequence for one in facts.logs.arrivals.get(device, [])]
        letters = facts.sent[device]
        again = {number: newest for one, newest in sent_again[device].items() if (number := letters[one].sequence) is not None}
        counts["excused"] += judge.judge_raw_order(facts.findings, device, raw, again)
        counts["arrived"] += len(raw)
        counts["sent again"] += len(again)
        judge.judge_same_order(facts.findings, device, raw, facts.logs.vitals.get(device, []), "vitals")
    counts["raw_messages"] = facts.logs.raw_messages


def judge_topic(facts: Facts, app: str) -> AppFacts:
    """Judge an app's topic: what stands there, in which order, and what a consent that ended let through.

    Args:
        facts: the findings and counts are added to them.
        app: its name.

    Returns:
        How the topic looks.
    """
    promised = promises(facts, app)
    consents = {one.consent: one for (_, whose), given in facts.consents.items() if whose == app for one in given}
    seen = judge_apps.judge_app(facts.findings, app, promised, facts.topics[app].released, consents)
    for device, order in seen.order.items():
        judge.judge_same_order(facts.findings, device, facts.logs.vitals.get(device, []), order, app)
    for one in facts.withdrawn:
        if one.app == app:
            _ended(facts, one, promised, seen)
    facts.counts[f"promised to {app}"] = sum(one.required for one in promised.values())
    return seen


def _ended(facts: Facts, one: Withdrawn, promised: dict[str, Promise], seen: AppFacts) -> None:
    """Look at each device of somebody who withdrew, also where the app got nothing of it, and at what the app was told."""
    found, app = facts.findings, one.app
    untold = 0
    for device in sorted({promise.device for promise in promised.values() if promise.subject == one.subject}):
        order = seen.under.get((one.consent, device), [])
        judge_apps.judge_prefix(found, app, device, facts.logs.vitals.get(device, []), order)
        first = min((arrival.received_at for arrival in facts.logs.arrivals.get(device, [])), default=None)
        untold += not judge_apps.judge_begun(found, app, device, first, min(facts.calm_until, one.withdrawn_at), len(order))
    counted = f"devices of which {app} rightly got nothing"
    facts.counts[counted] = facts.counts.get(counted, 0) + untold
    topic = facts.topics[app]
    between = judge_apps.judge_notice(found, app, one.consent, topic.released, topic.notices)
    facts.counts["between two words to erase"] = facts.counts.get("between two words to erase", 0) + between
    told = [notice.appended_at for notice in topic.notices if notice.consent == one.consent]
    last = [release.appended_at for release in topic.released if release.consent == one.consent]
    one.told = round((min(told) - one.withdrawn_at) / SECOND, 2) if told else None
    one.last = round((max(last) - one.withdrawn_at) / SECOND, 2) if last else None


def promises(facts: Facts, app: str) -> dict[str, Promise]:
    """Work out all that an app may have seen, from what was sent, who consents and the app's names; the router is not asked.

    Args:
        facts: of the run.
        app: its name.

    Returns:
        By id of the Observation.
    """
    names = facts.pseudonyms[app]
    found: dict[str, Promise] = {}
    for device, subject in facts.cast.subjects.items():
        given = facts.consents.get((subject, app))
        if given is None:
            continue
        receipted = facts.sequences(device, facts.receipted[device])
        for sequence in facts.sequences(device, facts.sent[device].keys()):
            shared = [one for one in facts.written.observations(device, subject, sequence, 0) if one.vital in given[0].vitals]
            for readings in group(shared):
                values = tuple((one.vital, one.value) for one in readings)
                at = readings[0].effective_at
                shown = (names.subject(subject), to_text(at), values)
                must = sequence in receipted and judge_apps.required(given, at)
                found[names.reading(identity(readings))] = Promise(device, sequence, subject, shown, must, at)
    return found


def _alerts(facts: Facts, raised: set[alerts.Raised]) -> tuple[list[alerts.Raised], list[alerts.Raised]]:
    expected = alerts.expected(facts.logs.arrivals, facts.cast.subjects, facts.written)
    facts.counts["alerts"] = len(raised)
    return sorted(expected - raised), sorted(raised - expected)
