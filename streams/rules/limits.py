"""Which limits hold for a subject's vital: the subject's own rules, else the general ones, else the catalogue's default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from catalogue.registry import VITALS
from catalogue.vital import Vital
from contracts.instants import SECOND
from contracts.registry import RuleRecord


@dataclass(frozen=True, slots=True)
class Side:
    """One limit of a rule, seen so that a larger ``sign * value`` is always worse.

    Attributes:
        key: ``<rule>/<low|high>``, under which its state is kept and its alerts are named.
        version: of the rule.
        vital: canonical LOINC code.
        sign: 1 for an upper limit, -1 for a lower.
        limit: times ``sign``; beyond it is a warning.
        critical: times ``sign``; beyond it is critical; None where there is no such limit.
        hysteresis: how far inside a limit a value must be to count as back, canonical unit.
        persistence: how long values must stay outside, microseconds.
    """

    key: str
    version: int
    vital: str
    sign: int
    limit: float
    critical: float | None
    hysteresis: float
    persistence: int


def default_rule(vital: Vital) -> RuleRecord | None:
    """Give the catalogue's rule for a vital, None where it has no limits."""
    limits = vital.limits
    if limits is None:
        return None
    return RuleRecord(
        rule=f"limits-{vital.code}",
        version=1,
        vital=vital.code,
        low=limits.low,
        high=limits.high,
        critical_low=limits.critical_low,
        critical_high=limits.critical_high,
        hysteresis=limits.hysteresis,
        persistence_seconds=limits.persistence_seconds,
        source=limits.source,
    )


def sides_of(rule: RuleRecord) -> tuple[Side, ...]:
    """Split a rule into the sides it has.

    Args:
        rule: the rule; a disabled one has no side.

    Returns:
        None, one or two sides. A critical limit without a warning limit serves as both.
    """
    if not rule.enabled:
        return ()
    persistence = round(rule.persistence_seconds * SECOND)
    found = []
    for name, sign, limit, critical in (
        ("low", -1, rule.low, rule.critical_low),
        ("high", 1, rule.high, rule.critical_high),
    ):
        warning = critical if limit is None else limit
        if warning is None:
            continue
        found.append(
            Side(
                key=f"{rule.rule}/{name}",
                version=rule.version,
                vital=rule.vital,
                sign=sign,
                limit=sign * warning,
                critical=None if critical is None else sign * critical,
                hysteresis=rule.hysteresis,
                persistence=persistence,
            )
        )
    return tuple(found)


class RuleBook:
    """All limits in force, looked up by subject and vital. Made anew when a rule changes; never altered."""

    def __init__(self, rules: Iterable[RuleRecord] = ()) -> None:
        """Take the registry's rules on top of the catalogue's defaults."""
        general: dict[str, tuple[Side, ...]] = {}
        own: dict[str, dict[str, tuple[Side, ...]]] = {}
        # Several of one scope hold side by side: one may give the lower limit and another the upper.
        for record in sorted(rules, key=lambda record: record.version):
            if record.subject is None:
                general[record.vital] = general.get(record.vital, ()) + sides_of(record)
            else:
                rules_of_subject = own.setdefault(record.subject, {})
                rules_of_subject[record.vital] = rules_of_subject.get(record.vital, ()) + sides_of(record)
        for vital in VITALS:
            rule = default_rule(vital)
            if rule is not None:
                general.setdefault(vital.code, sides_of(rule))
        self._general = general
        self._own = {subject: general | rules_of_subject for subject, rules_of_subject in own.items()}

    def limits(self, subject: str) -> Mapping[str, tuple[Side, ...]]:
        """Give, by vital, the sides that judge a subject; nothing judges a vital that is missing."""
        return self._own.get(subject, self._general)
