"""Compares what devices hold as receipted with what is stored and quarantined, without asking the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection

from contracts.down import correlation_text
from simulators.counts import Sent

Letter = tuple[str, int]
"""Device key and sequence number."""


@dataclass(frozen=True)
class Audit:
    """What the comparison found, in messages.

    Attributes:
        compared: messages that got a receipt.
        lost: of these, neither stored whole nor in quarantine.
        doubled: of these, with more readings stored than they held.
    """

    compared: int
    lost: int
    doubled: int


def compare(
    sent: Mapping[str, Mapping[str, Sent]],
    receipted: Mapping[str, Iterable[str]],
    stored: Mapping[Letter, int],
    quarantined: frozenset[Letter | str],
) -> Audit:
    """Compare, message by message.

    Args:
        sent: by device key, what each letter held, by its correlation.
        receipted: by device key, correlations that got a receipt.
        stored: readings stored by device key and sequence.
        quarantined: device key and sequence, or correlation, of what is in quarantine.

    Returns:
        What was found.
    """
    compared = lost = doubled = 0
    for device, correlations in receipted.items():
        for correlation in correlations:
            letter = sent[device][correlation]
            compared += 1
            if letter.garbage or letter.sequence is None:
                lost += correlation not in quarantined
                continue
            count = stored.get((device, letter.sequence), 0)
            doubled += count > letter.values
            lost += count < letter.values and (device, letter.sequence) not in quarantined
    return Audit(compared, lost, doubled)


def read_stored(connection: Connection[Any], since: datetime) -> dict[Letter, int]:
    """Count the readings stored by device key and sequence.

    Args:
        connection: as a role that reads readings.
        since: only what arrived from then on.
    """
    rows = connection.execute(
        "SELECT d.org || '/' || d.name, o.sequence, count(*) FROM observations o JOIN devices d USING (device_key)"
        " WHERE o.received_at >= %s GROUP BY 1, 2",
        [since],
    )
    return {(str(device), int(sequence)): int(count) for device, sequence, count in rows}


def read_quarantined(connection: Connection[Any], since: datetime) -> frozenset[Letter | str]:
    """Read what is in quarantine, by device key and sequence where the payload tells one, and by correlation.

    Args:
        connection: as a role that reads the quarantine.
        since: only what came there from then on.
    """
    found: set[Letter | str] = set()
    rows = connection.execute(
        "SELECT org || '/' || device, payload, correlation FROM quarantine WHERE quarantined_at >= %s", [since]
    )
    for device, payload, correlation in rows:
        if correlation is not None:
            found.add(correlation_text(bytes(correlation)))
        sequence = _sequence(bytes(payload))
        if sequence is not None:
            found.add((str(device), sequence))
    return frozenset(found)


def _sequence(payload: bytes) -> int | None:
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    sequence = body.get("sequence") if isinstance(body, dict) else None
    return sequence if isinstance(sequence, int) else None
