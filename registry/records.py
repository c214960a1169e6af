"""What may be said in the registry: checks and records, pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime

from catalogue.device import MODEL_BY_NAME
from catalogue.registry import BY_CODE
from contracts.ids import device_key, is_name
from contracts.instants import from_datetime, to_text
from contracts.registry import ClockCorrection, DeviceRecord, Loan, Period, RuleRecord
from registry.refusal import Refused

PeriodRow = tuple[datetime, datetime | None]


def checked_name(text: str, what: str) -> str:
    """Check a name that becomes part of topics and keys.

    Args:
        text: the name.
        what: what it names, for the message.

    Returns:
        The name.

    Raises:
        Refused: when it is not 1 to 64 of ``a-z``, ``0-9`` and ``-``.
    """
    if not is_name(text):
        raise Refused(f"'{text[:80]}' cannot name {what}: use 1 to 64 characters of a-z, 0-9 and '-'.")
    return text


def checked_model(name: str) -> str:
    """Check that the catalogue has a device model.

    Raises:
        Refused: when it has not; the words list those it has.
    """
    if name not in MODEL_BY_NAME:
        raise Refused(f"The catalogue has no device model '{name[:80]}'.", f"It has: {', '.join(sorted(MODEL_BY_NAME))}.")
    return name


def split_device(text: str) -> tuple[str, str]:
    """Take ``<org>/<device>`` apart.

    Raises:
        Refused: when it has another shape.
    """
    org, slash, device = text.partition("/")
    if not slash:
        raise Refused(f"'{text[:80]}' names no device.", "Write <organisation>/<device>, as in clinic/ox-1.")
    return checked_name(org, "an organisation"), checked_name(device, "a device")


def checked_period(start: int, end: int | None) -> Period:
    """Check a half-open span of time.

    Args:
        start: microseconds.
        end: microseconds, or None while it lasts.

    Raises:
        Refused: when it ends before it began.
    """
    if end is not None and end <= start:
        raise Refused(f"The period ends ({to_text(end)}) before it begins ({to_text(start)}).")
    return Period(start=start, end=end)


def period_words(start: int, end: int | None) -> str:
    """Say a period in words."""
    return f"from {to_text(start)} " + (f"to {to_text(end)}" if end is not None else "and still going on")


def overlapping(period: Period, others: Iterable[Loan]) -> Loan | None:
    """Find a loan that overlaps a period.

    Args:
        period: the candidate.
        others: loans of the same device.

    Returns:
        The first that overlaps, or None.
    """
    for other in others:
        if (other.end is None or period.start < other.end) and (period.end is None or other.start < period.end):
            return other
    return None


def device_record(
    org: str,
    device: str,
    model: str,
    retired_at: datetime | None,
    loans: Iterable[tuple[str, datetime, datetime | None]],
    corrections: Iterable[tuple[int, datetime, datetime | None]],
) -> DeviceRecord:
    """Make the record that processors get of a device.

    Args:
        org: organisation.
        device: device.
        model: of the catalogue.
        retired_at: when it was taken out of use, or None.
        loans: subject, start and end.
        corrections: offset in microseconds, start and end.

    Returns:
        The record, with loans and corrections in the order of their start and without a version.
    """
    return DeviceRecord(
        org=org,
        device=device,
        model=model,
        retired=retired_at is not None,
        retired_at=_end(retired_at),
        loans=tuple(
            sorted((Loan(subject=who, start=from_datetime(a), end=_end(b)) for who, a, b in loans), key=lambda loan: loan.start)
        ),
        corrections=tuple(
            sorted(
                (ClockCorrection(offset=by, start=from_datetime(a), end=_end(b)) for by, a, b in corrections),
                key=lambda correction: correction.start,
            )
        ),
    )


def _end(moment: datetime | None) -> int | None:
    return None if moment is None else from_datetime(moment)


def device_id(record: DeviceRecord) -> str:
    """Give the key of a device's record."""
    return device_key(record.org, record.device)


def checked_rule(rule: RuleRecord) -> RuleRecord:
    """Check that a threshold rule makes sense.

    Args:
        rule: limits in the vital's canonical unit.

    Returns:
        The rule, its vital's code in canonical form.

    Raises:
        Refused: when the vital is unknown, no limit is given, or the limits contradict each other.
    """
    vital = BY_CODE.get(rule.vital)
    if vital is None:
        raise Refused(f"The catalogue has no vital '{rule.vital[:20]}'.", "See docs/reference/vitals.md for the LOINC codes.")
    limits = (rule.critical_low, rule.low, rule.high, rule.critical_high)
    given = [limit for limit in limits if limit is not None]
    if not given:
        raise Refused("A rule needs at least one limit.", "Give --low, --high, --critical-low or --critical-high.")
    if not all(math.isfinite(number) for number in (*given, rule.hysteresis, rule.persistence_seconds)):
        raise Refused("Limits must be finite numbers.")
    if given != sorted(given) or len(set(given)) != len(given):
        raise Refused(f"Limits must rise in the order critical-low, low, high, critical-high, in {vital.unit}.")
    if rule.hysteresis < 0 or rule.persistence_seconds < 0:
        raise Refused("Hysteresis and persistence cannot be negative.")
    lower, upper = (
        rule.low if rule.low is not None else rule.critical_low,
        rule.high if rule.high is not None else rule.critical_high,
    )
    if lower is not None and upper is not None and 2 * rule.hysteresis >= upper - lower:
        raise Refused(
            "The hysteresis leaves no value at which an alert would resolve.", "Make it smaller than half the normal range."
        )
    return rule.model_copy(update={"vital": vital.code})
