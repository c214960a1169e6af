"""Compares what was sent with what the database holds, without asking those who put it there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Connection

from bench.garbage.canaries import Letter
from bench.garbage.flow import Flow, digest
from bench.garbage.plan import CORRELATION_BYTES, Plan
from contracts.instants import from_datetime

READ_ROWS = 5_000
_QUARANTINE = "SELECT code, messages, correlation, payload FROM quarantine WHERE quarantined_at >= %s"
_ROWS = """
SELECT d.name, o.sequence, o.value, o.device_time FROM observations o JOIN devices d USING (device_key)
WHERE d.org = %s AND o.received_at >= %s"""


@dataclass
class Kept:
    """What stands in quarantine of a run.

    Attributes:
        codes: messages by code.
        kinds: messages by kind and code.
        unfit: messages whose code does not fit what is wrong with them, by kind and code.
        changed: messages whose payload is not what was sent.
        repeated: messages that stand there more than once.
        missing: messages that do not stand there.
        foreign: rows that are none of the run's messages.
    """

    codes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    unfit: Counter[tuple[str, str]] = field(default_factory=Counter)
    changed: int = 0
    repeated: int = 0
    missing: int = 0
    foreign: int = 0


def read_quarantine(connection: Connection[Any], since: datetime, plan: Plan, flow: Flow) -> Kept:
    """Hold the quarantine against the plan.

    Args:
        connection: as a role that reads the quarantine.
        since: the beginning of the run.
        plan: what was sent.
        flow: with the payloads' digests.

    Returns:
        What was found.
    """
    kept, seen = Kept(), bytearray(plan.made)
    with connection.transaction(), connection.cursor("garbage") as cursor:
        cursor.itersize = READ_ROWS
        cursor.execute(_QUARANTINE, (since,), binary=True)
        for code, messages, correlation, payload in cursor:
            number = int.from_bytes(correlation, "big") if correlation and len(correlation) == CORRELATION_BYTES else plan.made
            if number >= plan.made:
                kept.foreign += messages
                continue
            kind = plan.kind(number)
            kept.codes[code] += messages
            kept.kinds[kind.name, code] += messages
            kept.unfit[kind.name, code] += code not in kind.codes
            kept.changed += digest(payload) != flow.digests[number]
            kept.repeated += seen[number]
            seen[number] = 1
    kept.unfit += Counter()  # leaves out those at 0
    kept.missing = seen.count(0)
    return kept


def read_false_rows(
    connection: Connection[Any], since: datetime, org: str, sent: Mapping[Letter, tuple[float, int]]
) -> tuple[int, int]:
    """Hold the stored readings against the canaries.

    Args:
        connection: as a role that reads readings.
        since: the beginning of the run.
        org: of the devices.
        sent: value and device time of each canary.

    Returns:
        How many rows are no canary's, and how many canaries have no row.
    """
    false, left = 0, dict(sent)
    for device, sequence, value, at in connection.execute(_ROWS, (org, since)):
        if left.pop((device, sequence), None) != (value, from_datetime(at)):
            false += 1
    return false, len(left)
