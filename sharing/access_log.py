"""The record of what the router released, and of what it withheld because a consent was withdrawn."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from contracts.frames import Coordinates
from contracts.instants import to_datetime
from contracts.observation import Observation
from contracts.registry import ConsentRecord

CHANNEL = "kafka"
RELEASED = "released"
REFUSED = "refused"
UNCONFIRMED = "not confirmed by Kafka"
"""Reason of what left for an app's topic and may stand there or not, since its confirmation never came."""

_INSERT = """
INSERT INTO access_log (at, app, channel, outcome, reason, subject, vitals, period_start, period_end, readings, purpose,
                        consent, consent_revision, request, once)
SELECT at, app, 'kafka', outcome, reason, subject, string_to_array(vitals, ','), period_start, period_end, readings, purpose,
       consent, consent_revision, request, once
FROM unnest(%s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
            %s::timestamptz[], %s::integer[], %s::text[], %s::uuid[], %s::integer[], %s::text[], %s::text[])
     AS entry (at, app, outcome, reason, subject, vitals, period_start, period_end, readings, purpose, consent,
               consent_revision, request, once)
ON CONFLICT DO NOTHING
"""


@dataclass(slots=True)
class Entry:
    """What one app received, or was refused, of one subject out of one vitals record under one consent.

    Attributes:
        outcome: ``released`` or ``refused``.
        reason: why it was refused, or ``UNCONFIRMED``, else empty.
        consent: the consent that allowed it, or that was withdrawn.
        source: the vitals record.
        stamp: its Kafka timestamp, milliseconds.
        at: instant of the last append as the broker stamped it, of the refusal, or when the unconfirmed left; microseconds.
        readings: how many.
        start: earliest ``effective_at`` among them.
        end: latest ``effective_at`` among them.
        vitals: which.
        offsets: first and last offset on the app's topic, None for a refusal or where they are unknown.
    """

    outcome: str
    reason: str
    consent: ConsentRecord
    source: Coordinates
    stamp: int
    at: int = 0
    readings: int = 0
    start: int = 0
    end: int = 0
    vitals: set[str] = field(default_factory=set)
    offsets: tuple[int, int] | None = None

    @property
    def once(self) -> str:
        """The key under which a second pass over the same record is logged once.

        A new Kafka counts its offsets from 0 again: the timestamp tells its records from those of the one before. What is
        unconfirmed stands beside what was confirmed of the same record.
        """
        consent, outcome = self.consent, self.outcome
        if self.reason == UNCONFIRMED:
            outcome += "?"
        return f"{self.source}@{self.stamp}/{consent.app}/{consent.subject}/{consent.consent}/{outcome}"

    def add(self, readings: Collection[Observation], at: int, offset: int | None = None) -> None:
        """Count readings in.

        Args:
            readings: of the entry's subject and record.
            at: as the attribute, microseconds.
            offset: on the app's topic, or None where there is none.
        """
        times = [reading.effective_at for reading in readings]
        self.start = min(times) if not self.readings else min(self.start, *times)
        self.end = max(self.end, *times) if self.readings else max(times)
        self.at = max(self.at, at)
        self.readings += len(readings)
        self.vitals.update(reading.vital for reading in readings)
        if offset is not None:
            self.offsets = (self.offsets[0] if self.offsets else offset, offset)

    @property
    def request(self) -> str:
        """Where on the app's topic it stands, in words."""
        topic = f"agora.app.{self.consent.app}.v1"
        if self.reason == UNCONFIRMED:
            return f"{topic} offsets unknown"
        return "" if self.offsets is None else f"{topic} offsets {self.offsets[0]} to {self.offsets[1]}"


async def record(connection: AsyncConnection[Any], entries: Collection[Entry]) -> None:
    """Write entries; those of an earlier pass over the same records stay as they are.

    Args:
        connection: as the router's role.
        entries: any number.
    """
    if not entries:
        return
    rows = [
        (
            to_datetime(entry.at),
            entry.consent.app,
            entry.outcome,
            entry.reason,
            entry.consent.subject,
            ",".join(sorted(entry.vitals)),
            to_datetime(entry.start),
            to_datetime(entry.end),
            entry.readings,
            entry.consent.purpose,
            UUID(entry.consent.consent),
            entry.consent.revision,
            entry.request,
            entry.once,
        )
        for entry in entries
    ]
    await connection.execute(_INSERT, [list(column) for column in zip(*rows, strict=True)])
