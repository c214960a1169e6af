"""What the processes tell on ``/metrics``, added up over their restarts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.parser import text_string_to_metric_families

Key = tuple[str, str, tuple[tuple[str, str], ...]]
"""Process, name, labels."""
STARTED = "process_start_time_seconds"


class Meters:
    """Counters of all processes since the first look; one that was killed begins at zero again, its counters here do not."""

    def __init__(self) -> None:
        """Begin empty."""
        self._newest: dict[Key, float] = {}
        self._before: dict[Key, float] = {}
        self._started: dict[str, float] = {}

    def take(self, process: str, text: str) -> None:
        """Take one process's answer in.

        Args:
            process: whose.
            text: as ``/metrics`` gives it.
        """
        found: dict[Key, float] = {}
        started = 0.0
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == STARTED:
                    started = sample.value
                elif family.name.startswith("agora_") and family.type != "gauge" and not sample.name.endswith("_created"):
                    found[process, sample.name, tuple(sorted(sample.labels.items()))] = sample.value
        if process not in self._started:
            self._before |= {key: -value for key, value in found.items()}
        elif self._started[process] != started:  # by its start, not by falling counters: they may have caught up since
            for key, value in self._newest.items():
                if key[0] == process:
                    self._before[key] = self._before.get(key, 0.0) + value
                    found.setdefault(key, 0.0)
        self._started[process] = started
        self._newest |= found

    def total(self, name: str, **labels: str) -> float:
        """Add up a counter over all label values but those given."""
        return sum(self._value(key) for key in self._newest if key[1] == name and labels.items() <= dict(key[2]).items())

    def by(self, name: str, label: str) -> dict[str, float]:
        """Give a counter by the values of one label, the largest first."""
        found: dict[str, float] = {}
        for key in self._newest:
            if key[1] == name:
                value = dict(key[2]).get(label, "")
                found[value] = found.get(value, 0.0) + self._value(key)
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))

    def quantile(self, name: str, part: float) -> float | None:
        """Estimate a quantile of a histogram, as Prometheus does: linear within a bucket.

        Args:
            name: of the histogram.
            part: 0 to 1.

        Returns:
            Seconds; None before the first sample; the largest finite bound where it lies beyond.
        """
        buckets: dict[float, float] = {}
        for key in self._newest:
            if key[1] == f"{name}_bucket":
                bound = float(dict(key[2])["le"])
                buckets[bound] = buckets.get(bound, 0.0) + self._value(key)
        return estimate(buckets, part)

    def _value(self, key: Key) -> float:
        return self._newest[key] + self._before.get(key, 0.0)


def estimate(buckets: Mapping[float, float], part: float) -> float | None:
    """Estimate a quantile from cumulative buckets.

    Args:
        buckets: count at or below each bound, infinity among them.
        part: 0 to 1.

    Returns:
        The quantile, or None without samples.
    """
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] == 0:
        return None
    rank = part * buckets[bounds[-1]]
    lower, below = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if bound == float("inf"):
                return lower
            inside = buckets[bound] - below
            return bound if inside == 0 else lower + (bound - lower) * (rank - below) / inside
        lower, below = bound, buckets[bound]
    return lower


def percentile(values: Iterable[float], part: float) -> float | None:
    """Give the value at or above a part of the samples, or None without samples."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None
