"""Percentiles, medians and spread; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

PERCENTILES = (50.0, 90.0, 99.0, 99.9)


def percentiles(counted: Iterable[tuple[float, int]], wanted: Sequence[float] = PERCENTILES) -> dict[str, float]:
    """Give percentiles of values that come with how often each was seen.

    Args:
        counted: value and number of times.
        wanted: percent, 0 to 100.

    Returns:
        By ``p50``, ``p99`` …: the smallest value that so many percent do not exceed; with ``max``; empty without values.
    """
    ordered = sorted(counted)
    total = sum(count for _, count in ordered)
    if not total:
        return {}
    found: dict[str, float] = {}
    for percent in wanted:
        needed, seen = total * percent / 100, 0
        for value, count in ordered:
            seen += count
            if seen >= needed:
                found[f"p{percent:g}"] = value
                break
    return found | {"max": ordered[-1][0]}


def per_million(cpu: float, messages: int) -> float:
    """Give processor seconds a million messages."""
    return cpu / messages * 1e6 if messages else 0.0


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Give least, median and greatest of at least one value."""
    return min(values), median(values), max(values)
