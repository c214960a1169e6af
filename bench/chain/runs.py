"""What is published, what a run took, and how a run tells that something was lost; values only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from contracts.errors import AgoraError

SEARCHING = " + searches"
"""Follows what a run is called that is the same as another but for the searches."""
Tell = Callable[[str], None]
MINUTES = 2


class Lost(AgoraError):
    """What came out is not what went in."""


@dataclass(frozen=True)
class Load:
    """What is published.

    Attributes:
        messages: how many.
        devices: of how many devices.
        rate: a second; 0 for as fast as it goes.
        receipts: whether every message asks for a receipt.
        sharing: whether an app reads its topic meanwhile.
        searches: a second, that this app asks the gateway meanwhile; 0 for none.
    """

    messages: int
    devices: int
    rate: float = 0.0
    receipts: bool = False
    sharing: bool = False
    searches: float = 0.0


@dataclass(frozen=True)
class Received:
    """What the app's consumer saw on its topic.

    Attributes:
        records: that came, repeats among them.
        repeats: of these, those whose id had come before; an app drops them.
        records_per_second: without repeats, from the first publish to the last record seen.
        latency: seconds from a message's publish to the consumer seeing its record, by percentile, without repeats.
    """

    records: int
    repeats: int
    records_per_second: float
    latency: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Searched:
    """What the app's searches took.

    Attributes:
        seconds: from when a search was due to its answer read, by kind of search, in their order.
        observations: that were answered.
        limit: FHIR requests a second that the gateway allowed an app.
        gateway_cpu: processor seconds of the gateway during the run.
        database_cpu: processor seconds of PostgreSQL for the gateway during the run.
    """

    seconds: dict[str, list[float]]
    observations: int
    limit: float
    gateway_cpu: float
    database_cpu: float


@dataclass
class Run:
    """What a run took.

    Attributes:
        subject: what was measured.
        load: with what.
        seconds: from the first publish to the last committed row visible.
        messages_per_second: sustained.
        readings_per_second: sustained, three times as many.
        latency: seconds from publishing to visibility, by percentile.
        by_second: the median of it for each second of publishing, in their order: whether it is steady.
        cpu: processor seconds a million messages by process.
        memory: bytes by process, at the end (PSS).
        by_minute: bytes by process at each full minute of a run at a fixed rate: whether memory is flat.
        receipts: that came back.
        behind: by how much the generator was late at the most, seconds.
        rows: that were written.
        received: by the app on its topic, where sharing is measured.
        searched: by the app at the gateway, where it searched.
        history: rows that were stored beforehand in the chunk that the run wrote into, that of the day; those of runs before it,
            and of earlier days, are not counted.
        checkpoints: that the database began meanwhile.
        judging: seconds from the last row visible until the last reading was judged for alerts; not part of the rates, whose
            work is in ``cpu``.
    """

    subject: str
    load: Load
    seconds: float
    messages_per_second: float
    readings_per_second: float
    latency: dict[str, float] = field(default_factory=dict)
    by_second: list[float] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    by_minute: list[dict[str, int]] = field(default_factory=list)
    receipts: int = 0
    behind: float = 0.0
    rows: int = 0
    received: Received | None = None
    searched: Searched | None = None
    judging: float = 0.0
    history: int = 0
    checkpoints: int = 0

    @property
    def grown(self) -> dict[str, int]:
        """By how many bytes each process grew from the first full minute to the last; empty for a run of less than two."""
        if len(self.by_minute) < MINUTES:
            return {}
        first, last = self.by_minute[0], self.by_minute[-1]
        return {name: size - first[name] for name, size in last.items() if name in first}
