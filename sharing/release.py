"""What may be released to whom: the decision itself, over values. Pure.

``ConsentRecord.allows`` is the rule; here it is given words when it says no, and a panel's components are kept together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from contracts.observation import Observation
from contracts.registry import ConsentRecord, Detail


class Refusal(StrEnum):
    """Why a reading is withheld from an app. In the order of how near it came to being released, the nearest last."""

    NO_CONSENT = "no-consent"
    APP_UNKNOWN = "app-unknown"
    APP_REVOKED = "app-revoked"
    APP_NOT_PROVISIONED = "app-not-provisioned"
    NOT_ON_LOAN = "not-on-loan"
    VITAL_NOT_COVERED = "vital-not-covered"
    AGGREGATED_ONLY = "aggregated-only"
    NOT_BEGUN = "not-begun"
    BEFORE_HISTORY = "before-history"
    ENDED = "ended"
    WITHDRAWN = "withdrawn"


_NEARNESS = {reason: place for place, reason in enumerate(Refusal)}


def refusal_of(consent: ConsentRecord, vital: str, effective_at: int, now: int) -> Refusal | None:
    """Say why a consent does not allow a reading.

    Args:
        consent: one consent.
        vital: canonical LOINC code.
        effective_at: when it was measured, microseconds.
        now: the present, microseconds.

    Returns:
        None exactly where ``consent.allows`` says yes; ``withdrawn`` only where the withdrawal alone is the reason.
    """
    if consent.allows(vital, effective_at, now):
        return None
    if vital not in consent.vitals:
        return Refusal.VITAL_NOT_COVERED
    if consent.detail is not Detail.RAW:
        return Refusal.AGGREGATED_ONLY
    if now < consent.granted_at:
        return Refusal.NOT_BEGUN
    if effective_at < (consent.granted_at if consent.history_from is None else consent.history_from):
        return Refusal.BEFORE_HISTORY
    if consent.ends_at is not None and (now >= consent.ends_at or effective_at >= consent.ends_at):
        return Refusal.ENDED
    return Refusal.WITHDRAWN


@dataclass(slots=True)
class Decision:
    """What becomes of one group of readings for one app.

    Attributes:
        released: readings to show as one Observation, each with the consent that allows it.
        refused: reading, reason, and the consent that came nearest.
    """

    released: list[tuple[ConsentRecord, list[Observation]]] = field(default_factory=list)
    refused: list[tuple[Observation, Refusal, ConsentRecord]] = field(default_factory=list)


def decide(readings: Sequence[Observation], consents: Sequence[ConsentRecord], now: int) -> Decision:
    """Decide over one reading, or a panel's components, for one app.

    Components that one consent allows together stay together; one that no consent allows is left out.

    Args:
        readings: one group of ``sharing.fhir.observation.group``.
        consents: all of the subject to the app, in a fixed order; at least one.
        now: the present, microseconds.

    Returns:
        The decision; each reading is in it exactly once.
    """
    decision = Decision()
    if len(readings) == 1:
        first = readings[0]
        for consent in consents:
            if consent.allows(first.vital, first.effective_at, now):
                decision.released.append((consent, list(readings)))
                return decision
        decision.refused.append(_nearest(first, consents, now))
        return decision
    left = list(readings)
    while left:
        best: tuple[ConsentRecord, list[Observation]] | None = None
        for consent in consents:
            allowed = [reading for reading in left if consent.allows(reading.vital, reading.effective_at, now)]
            if allowed and (best is None or len(allowed) > len(best[1])):
                best = consent, allowed
        if best is None:
            break
        decision.released.append(best)
        left = [reading for reading in left if reading not in best[1]]
    for reading in left:
        decision.refused.append(_nearest(reading, consents, now))
    return decision


def _nearest(reading: Observation, consents: Iterable[ConsentRecord], now: int) -> tuple[Observation, Refusal, ConsentRecord]:
    nearest: tuple[Observation, Refusal, ConsentRecord] | None = None
    for consent in consents:
        reason = refusal_of(consent, reading.vital, reading.effective_at, now)
        if reason is not None and (nearest is None or _NEARNESS[reason] > _NEARNESS[nearest[1]]):
            nearest = reading, reason, consent
    assert nearest is not None, "no consent allows it, so each says why"
    return nearest


class ConsentIndex:
    """All consents, found by subject and app; fed from the registry's topic."""

    def __init__(self) -> None:
        self._by_subject: dict[str, dict[str, tuple[ConsentRecord, ...]]] = {}
        self._by_consent: dict[str, ConsentRecord] = {}
        self._generations: dict[str, int] = {}

    def put(self, consent: str, record: ConsentRecord | None) -> None:
        """Take in a consent's newest revision.

        Args:
            consent: its id.
            record: the revision, or None where it is to be forgotten.
        """
        held = self._by_consent.pop(consent, None)
        if held is not None:
            self._replace(held, [entry for entry in self._of(held) if entry.consent != consent])
        if record is not None:
            self._by_consent[consent] = record
            self._replace(record, sorted([*self._of(record), record], key=lambda entry: entry.consent))

    def of_subject(self, subject: str) -> Mapping[str, tuple[ConsentRecord, ...]]:
        """Give a subject's consents by app."""
        return self._by_subject.get(subject, {})

    def between(self, subject: str, app: str) -> tuple[ConsentRecord, ...]:
        """Give a subject's consents to one app, in a fixed order."""
        return self.of_subject(subject).get(app, ())

    def generation(self, app: str) -> int:
        """Give a number that changes whenever a consent to the app does, so that a decision made before can be told stale."""
        return self._generations.get(app, 0)

    def _of(self, record: ConsentRecord) -> tuple[ConsentRecord, ...]:
        return self.between(record.subject, record.app)

    def _replace(self, record: ConsentRecord, entries: list[ConsentRecord]) -> None:
        self._generations[record.app] = self.generation(record.app) + 1
        apps = self._by_subject.setdefault(record.subject, {})
        if entries:
            apps[record.app] = tuple(entries)
            return
        apps.pop(record.app, None)
        if not apps:
            del self._by_subject[record.subject]
