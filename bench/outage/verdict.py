"""Compares what devices sent and hold receipts for with the rows that are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from psycopg import Connection

from bench.chain.statistics import percentiles
from bench.outage.load import Sender, value_of

_ROWS = """
SELECT d.name, o.sequence, o.value, extract(epoch FROM o.received_at - o.device_time)::double precision
FROM observations o JOIN devices d USING (device_key)
WHERE d.org = %s AND o.received_at >= %s"""


@dataclass(frozen=True)
class Compared:
    """What the comparison found, in messages.

    Attributes:
        sent: written by devices.
        stored: of these, with their row.
        receipted_lost: with a receipt and without a row.
        careful_lost: of careful devices, without a row.
        careless_lost: of careless devices, without a row: they trusted the broker, whose queue is bounded.
        flooder_lost: of a device that floods, without a row.
        wrong: rows with another value, or twice, or of no message.
        resent: messages that devices sent again: the careful ones any, the others their last word.
        held_back: messages that careful devices did not write, since their memory was full.
        receipt_seconds: the longest wait for a receipt, of all devices but one that floods.
        receipt_p99: so long did careful devices wait for 99 of 100 receipts at the most.
        arrival_p99: of these, so long until the bridge had them.
        fairness: the least that is stored of a careful device, as a part of what is in the middle; 1 where there is none.
    """

    sent: int
    stored: int
    receipted_lost: int
    careful_lost: int
    careless_lost: int
    flooder_lost: int
    wrong: int
    resent: int
    held_back: int
    receipt_seconds: float
    receipt_p99: float
    arrival_p99: float
    fairness: float

    @property
    def published(self) -> int:
        """Messages that devices published, repeats included."""
        return self.sent + self.resent


def compare(connection: Connection[Any], org: str, since: datetime, senders: Sequence[Sender], first: int = 0) -> Compared:
    """Hold the store against what was sent.

    Args:
        connection: as a role that reads readings.
        org: of the devices.
        since: the beginning of the run.
        senders: the devices.
        first: number of the last message that was sent to find out how much fits; how long such ones took is left out.

    Returns:
        What was found.
    """
    by_name = {sender.session.credential.device: sender for sender in senders}
    left = {name: set(sender.sent) for name, sender in by_name.items()}
    nobodys: set[int] = set()
    stored = wrong = 0
    rows = {name: 0 for name, sender in by_name.items() if sender.careful}
    arrivals = []
    with connection.cursor("stored") as cursor:  # a named one: millions of rows are not held at once
        cursor.itersize = 10_000
        for device, sequence, value, seconds in cursor.execute(_ROWS, (org, since)):
            waiting = left.get(device, nobodys)
            right = sequence in waiting and value == value_of(sequence)
            waiting.discard(sequence)
            stored, wrong = stored + right, wrong + (not right)
            if device in rows:
                rows[device] += 1
                if sequence > first:
                    arrivals.append((seconds, 1))
    careful = sum(len(lost) for device, lost in left.items() if by_name[device].careful)
    flooder = sum(len(lost) for device, lost in left.items() if by_name[device].floods)
    waits = [(seconds, sender.careful) for sender in senders if not sender.floods for seconds in sender.receipt_seconds]
    return Compared(
        sent=sum(len(sender.sent) for sender in senders),
        stored=stored,
        receipted_lost=sum(len(lost & by_name[device].receipted) for device, lost in left.items()),
        careful_lost=careful,
        careless_lost=sum(len(lost) for lost in left.values()) - careful - flooder,
        flooder_lost=flooder,
        wrong=wrong,
        resent=sum(sender.resent for sender in senders),
        held_back=sum(sender.held_back for sender in senders),
        receipt_seconds=max((seconds for seconds, _ in waits), default=0.0),
        receipt_p99=percentiles([(seconds, 1) for seconds, is_careful in waits if is_careful]).get("p99", 0.0),
        arrival_p99=percentiles(arrivals).get("p99", 0.0),
        fairness=min(rows.values()) / max(1.0, median(rows.values())) if rows else 1.0,
    )
