"""FHIR's date search (http://hl7.org/fhir/R4/search.html#date): a prefix and a date that may be partial, read as a span of time.

A reading happens at one instant, so that each prefix comes down to a lower or an upper bound. A time without a zone means UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from contracts.instants import EPOCH, from_datetime
from sharing.fhir.problem import SearchProblem

EARLIEST = from_datetime(datetime.min.replace(tzinfo=UTC))
LATEST = from_datetime(datetime.max.replace(tzinfo=UTC))
PREFIXES = ("eq", "gt", "ge", "lt", "le", "sa", "eb")
_DATE = re.compile(
    r"(?P<prefix>[a-z]{2})?(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)"
    r"(T(?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d)(\.(?P<fraction>\d{1,6})\d*)?)?(?P<zone>Z|[+ -]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
SHAPE = "YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm[:ss] with Z or an offset, with eq, gt, ge, lt, le, sa or eb before it"


class Span(NamedTuple):
    """Instants from ``start`` to before ``end``, microseconds."""

    start: int = EARLIEST
    end: int = LATEST

    def both(self, other: Span) -> Span:
        """Give what lies in both."""
        return Span(max(self.start, other.start), min(self.end, other.end))


def parse_dates(texts: Iterable[str]) -> Span:
    """Read all values of a date parameter; repeated ones must all hold.

    Args:
        texts: for example ``ge2026-11`` and ``lt2026-12-24T18:00:00Z``.

    Returns:
        The span in which readings are meant.

    Raises:
        SearchProblem: a value is not a date, or has a prefix we do not have.
    """
    span = Span()
    for text in texts:
        span = span.both(parse_date(text))
    return span


def parse_date(text: str) -> Span:
    """Read one value of a date parameter.

    Raises:
        SearchProblem: it is not a date, or has a prefix we do not have.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        raise SearchProblem(f"date is not a date as FHIR writes it: {SHAPE}")
    prefix = found["prefix"] or "eq"
    if prefix not in PREFIXES:
        raise SearchProblem(f"date takes the prefixes {', '.join(PREFIXES)}")
    try:
        meant = _meant(found)
    except (ValueError, OverflowError):
        raise SearchProblem("date names a day or time that does not exist") from None
    match prefix:
        case "gt" | "sa":
            return Span(start=meant.end)
        case "ge":
            return Span(start=meant.start)
        case "lt" | "eb":
            return Span(end=meant.start)
        case "le":
            return Span(end=meant.end)
        case _:
            return meant


def _meant(found: re.Match[str]) -> Span:
    """Give the whole span a partial date stands for: a year, a month, a day, a minute, a second or a part of one."""
    year, month, day = int(found["year"]), int(found["month"] or 1), int(found["day"] or 1)
    if found["hour"] is None:
        start = datetime(year, month, day, tzinfo=UTC)
        if found["day"]:
            return _lasting(start, timedelta(days=1))
        following = (year + month // 12, month % 12 + 1) if found["month"] else (year + 1, 1)
        end = LATEST if following[0] > datetime.max.year else from_datetime(datetime(*following, 1, tzinfo=UTC))
        return Span(from_datetime(start), end)
    fraction = found["fraction"] or ""
    start = datetime(year, month, day, int(found["hour"]), int(found["minute"]), int(found["second"] or 0), tzinfo=UTC)
    start += timedelta(microseconds=int(fraction.ljust(6, "0"))) - _offset(found["zone"])
    if found["second"] is None:
        return _lasting(start, timedelta(minutes=1))
    return _lasting(start, timedelta(microseconds=10 ** (6 - len(fraction))))


def _lasting(start: datetime, length: timedelta) -> Span:
    first = from_datetime(start)
    return Span(first, min(first + from_datetime(EPOCH + length), LATEST))


def _offset(zone: str | None) -> timedelta:
    if zone in (None, "Z"):
        return timedelta()
    assert zone is not None
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 14 or minutes > 59:
        raise ValueError("no such zone")
    # A plus sign that was not percent-encoded arrives as a space.
    return timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)
