"""How many messages the raw records held: at one message a record, no fault shows what becomes of a frame. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

FEW = 4
"""Where the median of the busiest quarter is less, the load hardly shows what becomes of frames."""


@dataclass(frozen=True)
class Sizes:
    """Messages per raw record.

    Attributes:
        records: how many.
        median: of all.
        p90: nine of ten hold no more.
        longest: the most.
        busy_median: of the records of the busiest quarter of the seconds.
    """

    records: int
    median: int
    p90: int
    longest: int
    busy_median: int

    def words(self) -> str:
        """Say it, with a remark where it is little."""
        said = f"messages per raw record: median {self.median}, p90 {self.p90}, most {self.longest}"
        said += f"; in the busiest quarter of the time median {self.busy_median}"
        return said if self.busy_median >= FEW else said + f" (below {FEW}: this load hardly shows what becomes of frames)"

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for a report."""
        return asdict(self)


def sizes(records: Sequence[tuple[int, int]]) -> Sizes:
    """Sum up.

    Args:
        records: of each raw record the second in which it was appended, and its messages.
    """
    if not records:
        return Sizes(0, 0, 0, 0, 0)
    by_second: defaultdict[int, list[int]] = defaultdict(list)
    for second, count in records:
        by_second[second].append(count)
    busiest = sorted(by_second.values(), key=sum, reverse=True)[: -(-len(by_second) // 4)]
    counts = sorted(count for _, count in records)
    busy = sorted(count for second in busiest for count in second)
    return Sizes(len(counts), _at(counts, 0.5), _at(counts, 0.9), counts[-1], _at(busy, 0.5))


def _at(ordered: Sequence[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
