"""What must hold, over values that were read elsewhere: nothing lost, doubled, changed or leaked, and the order kept. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.chaos.load import Value
from contracts.errors import Stage
from contracts.instants import SECOND
from simulators.garbage import KINDS

EXAMPLES = 10
GRACE = SECOND
"""How long after a withdrawal was committed something may still be appended to the app's topic (docs/delivery.md, 23)."""
SURELY = 2 * SECOND
"""So long after its arrival a shared reading is on its app's topic, if nothing is disturbed (docs/delivery.md, 31)."""


@dataclass
class Findings:
    """What is wrong, by what it is called; with some examples each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, example: str) -> None:
        """Note one."""
        self.counts[what] += 1
        kept = self.examples.setdefault(what, [])
        if len(kept) < EXAMPLES:
            kept.append(example)

    def words(self, *names: str) -> str:
        """Give the counts, and the first examples of what is not 0."""
        counted = ", ".join(f"{self.counts[name]} {name}" for name in names)
        shown = [f"{name}: {', '.join(self.examples[name][:3])}" for name in names if self.counts[name]]
        return "; ".join([counted, *shown])


def judge_rows(
    findings: Findings,
    device: str,
    receipted: Mapping[Value, float],
    unanswered: Mapping[Value, float],
    rows: Iterable[tuple[Value, float]],
    quarantined: Collection[int],
) -> None:
    """Compare one device's rows, value by value, with what it sent.

    Args:
        findings: what is found is added: ``lost``, ``doubled``, ``changed``, ``invented``.
        device: its key.
        receipted: values of the messages that got their receipt.
        unanswered: values of those that did not; they may be stored or not.
        rows: all its rows in the database.
        quarantined: sequences of its messages in quarantine; they are not lost, but ``judge_quarantine`` finds them.
    """
    seen: set[Value] = set()
    known = {(value.vital, value.sequence) for value in receipted} | {(value.vital, value.sequence) for value in unanswered}
    for identity, value in rows:
        place = f"{device} message {identity.sequence} {identity.vital}"
        expected = receipted.get(identity, unanswered.get(identity))
        if identity in seen or (expected is None and (identity.vital, identity.sequence) in known):
            findings.add("doubled", place)
        elif expected is None:
            findings.add("invented", place)
        elif expected != value:
            findings.add("changed", f"{place}: sent {expected}, stored {value}")
        seen.add(identity)
    for identity in receipted.keys() - seen:
        if identity.sequence not in quarantined:
            findings.add("lost", f"{device} message {identity.sequence} {identity.vital}")


class Kept(NamedTuple):
    """A row of the quarantine.

    Attributes:
        device: key, or empty where a record was refused whole.
        sequence: of the message, also where one of its readings was refused by the store; None for garbage, which has none.
        correlation: of the message, or empty.
        stage: who refused it.
        code: why.
    """

    device: str
    sequence: int | None
    correlation: str
    stage: str
    code: str


def judge_quarantine(findings: Findings, kept: Iterable[Kept]) -> None:
    """Look for what is in quarantine and was not made to be refused: ``quarantined though valid``.

    No fault excuses it. Devices send two things: numbered messages that are valid, and garbage without a number. Nobody sets a
    clock, lends or retires a device, or sends other values under one number while the load lasts. Before it begins, the routers
    know the consents; these were given after the last loan, and the registry's changes reach Kafka in their order, so every loan
    stands there. A worker with an older view must ask Kafka before it refuses, and whatever comes twice is a duplicate.

    Args:
        findings: what is found is added.
        kept: all rows.
    """
    for one in kept:
        garbage = one.device and one.sequence is None and one.stage == Stage.NORMALISE and one.code in KINDS
        if not garbage:
            message = "record" if one.sequence is None else f"message {one.sequence}"
            findings.add("quarantined though valid", f"{one.device or 'a whole'} {message}: {one.code} at {one.stage}")


def judge_garbage(findings: Findings, device: str, receipted: Iterable[str], quarantined: Collection[str]) -> None:
    """Look for receipted garbage that is not in quarantine: ``lost``."""
    for correlation in receipted:
        if correlation not in quarantined:
            findings.add("lost", f"{device} garbage {correlation}")


def judge_raw_order(findings: Findings, device: str, order: Sequence[int], again: Collection[int]) -> None:
    """Look for messages that a later one of their device overtook on the way to Kafka: ``overtaken``.

    A message that its device sent again may rightly stand late, since the broker may have lost it after its PUBACK. One that was
    sent once went before all that its device wrote later, and must stand before it.

    Args:
        findings: what is found is added.
        device: its key.
        order: sequences in the order of their first occurrence.
        again: sequences of the messages that were sent again.
    """
    newest = 0
    for sequence in order:
        if sequence < newest and sequence not in again:
            findings.add("overtaken", f"{device} message {sequence} stands behind {newest}")
        newest = max(newest, sequence)


def judge_same_order(findings: Findings, device: str, before: Sequence[int], after: Sequence[int], stage: str) -> None:
    """Look for messages that changed places within a stage: ``overtaken``.

    Args:
        findings: what is found is added.
        device: its key.
        before: sequences in the order of their first occurrence where the stage reads.
        after: the same where it writes; some may be missing there.
        stage: its name.
    """
    places = {sequence: place for place, sequence in enumerate(before)}
    newest = -1
    for sequence in after:
        place = places.get(sequence)
        if place is None:
            continue
        if place < newest:
            findings.add("overtaken", f"{device} message {sequence} in {stage}")
        newest = max(newest, place)


def judge_prefix(findings: Findings, app: str, device: str, before: Sequence[int], after: Sequence[int]) -> None:
    """Look for what an app did not get although it got something later under the same consent, which then ended: ``withheld``.

    Args:
        findings: what is found is added.
        app: its name.
        device: key of the device, of a subject who withdrew.
        before: sequences in the order in which the router read them.
        after: those that the app got.
    """
    missing = set(before[: len(after)]) - set(after)
    for sequence in sorted(missing):
        findings.add("withheld", f"{app}: {device} message {sequence}, although later ones came")


def judge_begun(findings: Findings, app: str, device: str, arrived: int | None, calm_until: int, released: int) -> bool:
    """Look for a device of which an app got nothing before the consent ended although it surely should: ``withheld``.

    Args:
        findings: what is found is added.
        app: its name.
        device: key of the device, of a subject who withdrew.
        arrived: when its first shared message came, microseconds; None where none did.
        calm_until: when the first fault or the withdrawal came, whichever was first, microseconds.
        released: how many of its messages the app got.

    Returns:
        Whether that could be told: what comes shortly before the first fault may rightly wait until the consent is over.
    """
    if released:
        return True
    sure = arrived is not None and arrived + SURELY <= calm_until
    if sure:
        findings.add("withheld", f"{app}: {device} all that came before the withdrawal")
    return sure


@dataclass(frozen=True)
class Promise:
    """What an app may see as one record.

    Attributes:
        device: key of the device.
        sequence: of the message.
        subject: name in the registry.
        shown: what the record must say: pseudonymous patient, effective time, values by vital.
        required: whether it must be there; else it may.
    """

    device: str
    sequence: int
    subject: str
    shown: tuple[str, str, tuple[tuple[str, float], ...]]
    required: bool


@dataclass(frozen=True)
class Release:
    """A record of an app's topic.

    Attributes:
        identifier: of the Observation.
        shown: as in ``Promise``.
        appended_at: microseconds, the broker's clock.
    """

    identifier: str
    shown: tuple[str, str, tuple[tuple[str, float], ...]]
    appended_at: int


@dataclass
class AppFacts:
    """How an app's topic looks.

    Attributes:
        records: all readings on it.
        repeats: of these, those whose id had come before.
        distinct: ids.
        order: by device the sequences in the order of their first occurrence.
    """

    records: int = 0
    repeats: int = 0
    distinct: int = 0
    order: dict[str, list[int]] = field(default_factory=dict)


def judge_app(
    findings: Findings,
    app: str,
    promised: Mapping[str, Promise],
    released: Iterable[Release],
    ended: Mapping[str, int],
) -> AppFacts:
    """Compare an app's topic with what consent allows.

    Args:
        findings: what is found is added: ``without consent``, ``withheld``, ``changed on the way to an app``.
        app: its name.
        promised: by id as the app knows it, all that it may ever have seen.
        released: the records of its topic, in their order.
        ended: by subject when the withdrawal of its consent was committed, microseconds.

    Returns:
        Facts for the report and for the order.
    """
    facts = AppFacts()
    seen: dict[str, None] = {}
    for record in released:
        facts.records += 1
        promise = promised.get(record.identifier)
        if promise is None:
            findings.add("without consent", f"{app}: {record.identifier} of patient {record.shown[0]}")
            continue
        end = ended.get(promise.subject)
        if end is not None and record.appended_at > end + GRACE:
            late = (record.appended_at - end) / SECOND
            findings.add("without consent", f"{app}: {record.identifier}, {late:.2f} s after the withdrawal")
        if record.shown != promise.shown:
            findings.add("changed on the way to an app", f"{app}: {record.identifier}")
        if record.identifier in seen:
            facts.repeats += 1
            continue
        seen[record.identifier] = None
        order = facts.order.setdefault(promise.device, [])
        if not order or order[-1] != promise.sequence:  # a message may show as several records
            order.append(promise.sequence)
    facts.distinct = len(seen)
    for identifier, promise in promised.items():
        if promise.required and identifier not in seen:
            findings.add("withheld", f"{app}: {promise.device} message {promise.sequence}")
    return facts
