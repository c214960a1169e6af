"""What must hold, over values that were read elsewhere: nothing lost, doubled or changed, and the order kept. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.chaos.load import Value
from contracts.errors import Stage
from simulators.garbage import KINDS

EXAMPLES = 10
LEAST_JUDGED = 0.25
"""So large a part of the messages at least must stand in their order without an excuse, or the run shows nothing about it."""


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


def judge_raw_order(findings: Findings, device: str, order: Sequence[int], again: Mapping[int, int]) -> int:
    """Look for messages that a later one of their device overtook on the way to Kafka: ``overtaken``.

    A message that its device sent again may rightly stand late, since the broker may have lost it after its PUBACK; but not later
    than its last sending. What its device sent for the first time only after that must stand behind it.

    Args:
        findings: what is found is added.
        device: its key.
        order: sequences in the order of their first occurrence.
        again: by sequence of a message that was sent again, the newest that had been sent when it was sent last.

    Returns:
        How many stand behind a later one and are excused: of these nothing is shown.
    """
    newest = excused = 0
    for sequence in order:
        if newest > again.get(sequence, sequence):
            findings.add("overtaken", f"{device} message {sequence} stands behind {newest}")
        elif newest > sequence:
            excused += 1
        newest = max(newest, sequence)
    return excused


def enough_judged(messages: int, excused: int) -> bool:
    """Tell whether enough messages stand in their order without an excuse."""
    return messages - excused >= LEAST_JUDGED * messages


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
