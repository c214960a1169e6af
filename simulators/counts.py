"""What a device, or a fleet of them, has done so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import NamedTuple


class Sent(NamedTuple):
    """What a checker may want to know about a letter.

    Attributes:
        sequence: number it carried, or None.
        values: how many values it held; 0 for garbage.
        garbage: made to be refused.
    """

    sequence: int | None
    values: int
    garbage: bool


@dataclass(slots=True)
class Counts:
    """Counters since the start.

    Attributes:
        made: messages written, garbage not among them.
        values: readings in them, a panel's components counted one by one.
        garbage: messages made to be refused.
        gaps: numbers of the sequence left out on purpose.
        duplicates: messages sent twice on purpose.
        published: publishes handed to the broker, of whatever kind.
        resent: of these, letters sent again because no receipt came, or after a lost connection.
        receipted: letters that got their receipt.
        receipts_repeated: receipts for what had been answered before.
        refused: publishes the broker refused for good.
        outstanding: letters without an answer now.
        connects: sessions begun.
        connection_losses: sessions that ended unasked.
        connection_failures: attempts that failed.
        offline_bursts: times gone offline on purpose.
        unreadable: payloads on the down topics that were not what the contract says.
        errors: from the platform, by code.
        warnings: from the platform, by code.
    """

    made: int = 0
    values: int = 0
    garbage: int = 0
    gaps: int = 0
    duplicates: int = 0
    published: int = 0
    resent: int = 0
    receipted: int = 0
    receipts_repeated: int = 0
    refused: int = 0
    outstanding: int = 0
    connects: int = 0
    connection_losses: int = 0
    connection_failures: int = 0
    offline_bursts: int = 0
    unreadable: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Counts) -> Counts:
        """Add counter by counter."""
        return Counts(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})

    def as_dict(self) -> dict[str, int | dict[str, int]]:
        """Give plain numbers, for a report in JSON."""
        found: dict[str, int | dict[str, int]] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            found[one.name] = dict(sorted(value.items())) if isinstance(value, Counter) else value
        return found
