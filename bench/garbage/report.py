"""What a run of garbage found, and which of its promises hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.chain import machine
from bench.check import Check
from bench.garbage.canaries import Canaries
from bench.garbage.flow import Flow
from bench.garbage.verdict import Kept
from bench.watching import MIB, Watched
from storage.ledger import Closing

if TYPE_CHECKING:
    from bench.garbage.run import Options

STALL_SECONDS = 1.0
GROWTH_MIB = 24
"""What a process of ours, or the broker, may have grown by at the end, in MiB: an allocator's slack, for a million too."""
SPEED = "nothing stalled over a second"
BOUNDED = ("kafka", "postgres")
"""Servers that fill what their settings give them; their sizes are told and not judged."""


@dataclass(frozen=True)
class Found:
    """Everything a run found.

    Attributes:
        options: what was asked for.
        seconds: from the first message to the last answer.
        refused_by_broker: messages of 10 MB over which the broker ended the connection.
        kept: the quarantine.
        flow: what devices were told.
        canaries: valid readings.
        false_rows: stored readings that no canary sent.
        missing_canaries: canaries without a row.
        closing: the ledger at the end.
        watched: memory.
        restarted: processes that are others than at the start.
    """

    options: Options
    seconds: float
    refused_by_broker: int
    kept: Kept
    flow: Flow
    canaries: Canaries
    false_rows: int
    missing_canaries: int
    closing: Closing
    watched: Watched
    restarted: tuple[str, ...]

    def checks(self) -> Iterator[Check]:
        """Judge each promise."""
        kept = self.kept
        total = sum(kept.codes.values()) + self.refused_by_broker
        yield Check("counts by reason add up", total == self.options.messages, f"{total} of {self.options.messages}")
        wrong = kept.missing + kept.repeated + kept.changed
        yield Check(
            "each message is in quarantine once, byte for byte",
            wrong == 0,
            f"{kept.missing} missing, {kept.repeated} twice, {kept.changed} changed",
        )
        yield Check("each has a code that fits", not kept.unfit, _pairs(dict(kept.unfit)) or "all of them")
        told = self.flow.told_wrongly
        yield Check(
            "each device is told a code that fits", not told, f"{sum(self.flow.told.values())} told, {sum(told.values())} wrongly"
        )
        large = self.options.large
        yield Check("10 MB are refused by the broker", self.refused_by_broker == large, f"{self.refused_by_broker} of {large}")
        yield Check("no false row is stored", self.false_rows == 0, f"{self.false_rows}")
        sent = len(self.canaries.sent)
        yield Check("every valid reading is stored", self.missing_canaries == 0, f"{self.missing_canaries} of {sent} missing")
        closing = self.closing
        yield Check("the ledger is closed", closing.closed, f"difference {closing.difference}, in flight {closing.in_flight}")
        yield Check("no process died", not self.restarted, ", ".join(self.restarted) or "none")
        growth = {name: size // MIB for name, size in self.watched.growth().items() if name not in BOUNDED}
        grown = {name: size for name, size in growth.items() if size > GROWTH_MIB}
        most = max(growth.values(), default=0)
        yield Check("no memory grew", not grown, _pairs(grown) or f"at most {most} MiB after the warm-up")
        stall, slowest = max(self.canaries.stalls, default=0.0), max(self.canaries.seconds, default=0.0)
        detail = f"at most {stall:.2f} s between two readings' rows; the slowest reading took {slowest:.2f} s"
        yield Check(SPEED, 0.0 < stall <= STALL_SECONDS, detail)

    def as_dict(self) -> dict[str, Any]:
        """Give everything for a report in JSON."""
        checks = list(self.checks())
        ordered = sorted(self.canaries.seconds)
        kinds: dict[str, dict[str, int]] = {}
        for (kind, code), number in sorted(self.kept.kinds.items()):
            kinds.setdefault(kind, {})[code] = number
        return {
            "passed": all(check.passed for check in checks),
            "checks": [check._asdict() for check in checks],
            "messages": self.options.messages,
            "seed": self.options.seed,
            "machine": machine.facts(),
            "window": {"most": self.options.window, "widest": self.flow.widest, "narrowest": self.flow.narrowest},
            "seconds": round(self.seconds, 1),
            "messages_per_second": round(self.options.messages / self.seconds),
            "codes": dict(self.kept.codes.most_common()) | {"refused by the broker": self.refused_by_broker},
            "kinds": kinds,
            "told": dict(self.flow.told.most_common()),
            "canaries": {
                "sent": len(self.canaries.sent),
                "longest_stall_seconds": round(max(self.canaries.stalls, default=0.0), 3),
                "seconds": {part: round(_at(ordered, float(part)), 3) for part in ("0.5", "0.99", "0.999", "1.0")},
            },
            "memory": self.watched.report(),
            "ledger": {
                "received": self.closing.received,
                "stored": self.closing.stored,
                "quarantined": self.closing.quarantined,
                "difference": self.closing.difference,
            },
        }


def _at(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def _pairs(found: dict[Any, int]) -> str:
    return ", ".join(f"{key} {number}" for key, number in found.items())
