"""Which limits hold for a subject's vital: the subject's own rules, else the general ones, else the catalogue's default."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from math import inf

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


@dataclass(frozen=True, slots=True)
class Limits:
    """All that judges one vital of a subject.

    Attributes:
        sides: of the rules in force, one or more; none where they are switched off.
        low: a value from here to ``high`` is within the limits of every side.
        high: likewise; below ``low`` where that alone tells nothing, because a side shares its state with another.
    """

    sides: tuple[Side, ...]
    low: float
    high: float


NO_LIMITS = Limits((), -inf, inf)


def combined(sides: tuple[Side, ...], shared: Container[str] = ()) -> Limits:
    """Put the sides that judge one vital together.

    Args:
        sides: each of them.
        shared: keys under which more than one side keeps its state.
    """
    low, high = -inf, inf
    for side in sides:
        if side.key in shared:
            return Limits(sides, inf, -inf)
        # Critical is mostly farther out. Where it is not, an old reading between the two tells something, a new one does not.
        nearest = side.limit if side.critical is None else min(side.limit, side.critical)
        if side.sign > 0:
            high = min(high, nearest)
        else:
            low = max(low, -nearest)
    return Limits(sides, low, high)


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


def _existing(limits: dict[str, Limits]) -> dict[str, Limits]:
    return {vital: limit for vital, limit in limits.items() if limit.sides}


class RuleBook:
    """All limits in force, looked up by subject and vital. Made anew when a rule changes; never altered.

    Attributes:
        edition: of this book alone, for those who want to know whether it is still the same without keeping all of it.
    """

    def __init__(self, rules: Iterable[RuleRecord] = ()) -> None:
        """Take the registry's rules on top of the catalogue's defaults."""
        self.edition = object()
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
        # Rules are named by whoever makes them: one of them may bear the name of the default of another vital.
        every = chain(general.values(), *(of_subject.values() for of_subject in own.values()))
        shared = {key for key, times in Counter(side.key for sides in every for side in sides).items() if times > 1}
        for_all = {vital: combined(sides, shared) for vital, sides in general.items()}
        self._general = _existing(for_all)
        self._own = {
            subject: _existing(for_all | {vital: combined(sides, shared) for vital, sides in of_subject.items()})
            for subject, of_subject in own.items()
        }

    def limits(self, subject: str) -> Mapping[str, Limits]:
        """Give, by vital, what judges a subject; nothing judges a vital that is missing."""
        return self._own.get(subject, self._general)
