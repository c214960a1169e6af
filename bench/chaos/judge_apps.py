"""What an app may find on its topic, and what it must: nothing without consent, nothing withheld, and told to erase. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.chaos.judge import Findings
from contracts.instants import SECOND
from contracts.registry import ConsentRecord

GRACE = SECOND
"""How long after a withdrawal was committed something may still be appended to the app's topic (docs/delivery.md, 23)."""
SURELY = 2 * SECOND
"""So long after its arrival a shared reading is on its app's topic, if nothing is disturbed (docs/delivery.md, 31)."""
KNOWN = SECOND
"""So long after a grant whatever is measured must come: a router that judges holds a view of half a second ago at most."""
Shown = tuple[str, str, tuple[tuple[str, float], ...]]


@dataclass(frozen=True)
class Promise:
    """What an app may see as one record.

    Attributes:
        device: key of the device.
        sequence: of the message.
        subject: name in the registry.
        shown: what the record must say: pseudonymous patient, effective time, values by vital.
        required: whether it must be there; else it may.
        effective_at: when it was measured, microseconds.
    """

    device: str
    sequence: int
    subject: str
    shown: Shown
    required: bool
    effective_at: int = 0


@dataclass(frozen=True)
class Release:
    """A record of an app's topic.

    Attributes:
        identifier: of the Observation.
        shown: as in ``Promise``.
        appended_at: microseconds, the broker's clock.
        consent: id of the consent that it bears.
        offset: its place.
    """

    identifier: str
    shown: Shown
    appended_at: int
    consent: str = ""
    offset: int = 0


@dataclass(frozen=True)
class Notice:
    """A record of an app's topic that tells it to erase: which consent ended, when it was appended (microseconds), and where."""

    consent: str
    appended_at: int
    offset: int


@dataclass
class AppFacts:
    """How an app's topic looks.

    Attributes:
        records: all readings on it.
        repeats: of these, those whose id had come before.
        distinct: ids.
        order: by device the sequences in the order of their first occurrence.
        under: the same by consent and device.
    """

    records: int = 0
    repeats: int = 0
    distinct: int = 0
    order: dict[str, list[int]] = field(default_factory=dict)
    under: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, promise: Promise, consent: str) -> None:
        """Note a record that came for the first time."""
        self.distinct += 1
        for order in (self.order.setdefault(promise.device, []), self.under.setdefault((consent, promise.device), [])):
            if not order or order[-1] != promise.sequence:  # a message may show as several records
                order.append(promise.sequence)


def required(consents: Iterable[ConsentRecord], effective_at: int) -> bool:
    """Tell whether a reading that is received must reach an app.

    Args:
        consents: all of the subject to the app, as they are at the end of the run.
        effective_at: when it was measured, microseconds.

    Returns:
        Whether one that still holds was surely known when it was measured.
    """
    return any(one.withdrawn_at is None and effective_at >= one.granted_at + KNOWN for one in consents)


def judge_app(
    findings: Findings,
    app: str,
    promised: Mapping[str, Promise],
    released: Iterable[Release],
    consents: Mapping[str, ConsentRecord],
) -> AppFacts:
    """Compare an app's topic with what consent allows.

    Args:
        findings: what is found is added: ``without consent``, ``withheld``, ``changed on the way to an app``.
        app: its name.
        promised: by id as the app knows it, all that it may ever have seen.
        released: the records of its topic, in their order.
        consents: by id all to this app, as they are at the end of the run.

    Returns:
        Facts for the report and for the order.
    """
    facts = AppFacts()
    seen: set[str] = set()
    for record in released:
        facts.records += 1
        promise = promised.get(record.identifier)
        if promise is None:
            findings.add("without consent", f"{app}: {record.identifier} of patient {record.shown[0]}")
            continue
        if wrong := _without(consents.get(record.consent), promise, record.appended_at):
            findings.add("without consent", f"{app}: {record.identifier}, {wrong}")
        if record.shown != promise.shown:
            findings.add("changed on the way to an app", f"{app}: {record.identifier}")
        if record.identifier in seen:
            facts.repeats += 1
            continue
        seen.add(record.identifier)
        facts.add(promise, record.consent)
    for identifier, promise in promised.items():
        if promise.required and identifier not in seen:
            findings.add("withheld", f"{app}: {promise.device} message {promise.sequence}")
    return facts


def _without(consent: ConsentRecord | None, promise: Promise, appended_at: int) -> str:
    """Say why the consent that a record bears does not allow it; empty where it does."""
    if consent is None or consent.subject != promise.subject:
        return "under a consent that is not this patient's"
    if promise.effective_at < consent.granted_at:
        return f"measured {(consent.granted_at - promise.effective_at) / SECOND:.2f} s before the consent was given"
    if consent.withdrawn_at is not None and appended_at > consent.withdrawn_at + GRACE:
        return f"{(appended_at - consent.withdrawn_at) / SECOND:.2f} s after the withdrawal"
    return ""


def judge_notice(findings: Findings, app: str, consent: str, released: Iterable[Release], notices: Iterable[Notice]) -> int:
    """Look at the word to erase that follows a withdrawal: ``not told to erase``, ``after the word to erase``.

    Each of two routers tells for itself, after the last reading of its own; so the last word must stand after the last reading.

    Args:
        findings: what is found is added.
        app: its name.
        consent: id of what was withdrawn.
        released: the records of the app's topic.
        notices: those that tell it to erase.

    Returns:
        How many readings stand between the first word and the last.
    """
    told = sorted(one.offset for one in notices if one.consent == consent)
    if not told:
        findings.add("not told to erase", f"{app}: consent {consent}")
        return 0
    places = [one.offset for one in released if one.consent == consent]
    if late := [place for place in places if place > told[-1]]:
        findings.add("after the word to erase", f"{app}: {len(late)} readings of consent {consent}")
    return sum(told[0] < place < told[-1] for place in places)


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
