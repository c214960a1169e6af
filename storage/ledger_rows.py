"""Writing the ledger: what became of raw and vitals records, and sums by device. Each statement writes all rows of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import LiteralString

from psycopg import AsyncConnection

from contracts.instants import SECOND
from contracts.outcomes import RawOutcome
from storage.pieces import Source
from storage.tally import DEVICE_COUNTS, UNSAID, Accounted, Counts, Deltas, RawKey, Reclassified

_RAW = """
INSERT INTO ledger_raw (raw_partition, raw_offset, hour, received, replayed, accepted, duplicate, quarantined, readings)
SELECT p, o, to_timestamp(h), r, y, a, d, q, v FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::int[], %s::int[], %s::int[],
    %s::int[], %s::int[], %s::int[]) AS n(p, o, h, r, y, a, d, q, v)
ON CONFLICT DO NOTHING RETURNING raw_partition, raw_offset"""
_STORED = """
INSERT INTO ledger_stored (raw_partition, raw_offset, vitals_partition, messages_stored, messages_duplicate, messages_quarantined,
    readings_stored, readings_duplicate, readings_quarantined, messages)
SELECT p, o, v, a, b, c, d, e, f, decode(m, 'hex')
FROM unnest(%s::int[], %s::bigint[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[], %s::text[])
    AS n(p, o, v, a, b, c, d, e, f, m)
ON CONFLICT DO NOTHING RETURNING raw_partition, raw_offset, vitals_partition"""
_ACCOUNTED = """
SELECT raw_partition, raw_offset, vitals_partition,
    CASE WHEN messages <> '' OR messages_stored + messages_duplicate + messages_quarantined = 0 THEN messages END
FROM ledger_stored JOIN unnest(%s::int[], %s::bigint[]) AS n(p, o) ON (raw_partition, raw_offset) = (n.p, n.o)"""
_EXTEND = """
UPDATE ledger_stored s SET messages_stored = messages_stored + a, messages_duplicate = messages_duplicate + b,
    messages_quarantined = messages_quarantined + c, readings_stored = readings_stored + d,
    readings_duplicate = readings_duplicate + e, readings_quarantined = readings_quarantined + f, messages = decode(m, 'hex')
FROM unnest(%s::int[], %s::bigint[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[], %s::text[])
    AS n(p, o, v, a, b, c, d, e, f, m)
WHERE (raw_partition, raw_offset, vitals_partition) = (n.p, n.o, n.v)"""
_RECLASSIFY = """
WITH excess AS (
    SELECT r.raw_partition, r.raw_offset, least(s.number - r.accepted, r.duplicate) AS duplicate,
        greatest(s.number - r.accepted - r.duplicate, 0) AS quarantined
    FROM unnest(%s::int[], %s::bigint[]) AS n(p, o) JOIN ledger_raw r ON (r.raw_partition, r.raw_offset) = (n.p, n.o)
    CROSS JOIN LATERAL (
        SELECT sum(messages_stored + messages_duplicate + messages_quarantined)::int AS number FROM ledger_stored
        WHERE (raw_partition, raw_offset) = (n.p, n.o)
    ) s
    WHERE NOT r.resent AND s.number > r.accepted AND s.number <= r.accepted + r.duplicate + r.quarantined
)
UPDATE ledger_raw r SET accepted = r.accepted + e.duplicate + e.quarantined, duplicate = r.duplicate - e.duplicate,
    quarantined = r.quarantined - e.quarantined
FROM excess e WHERE (r.raw_partition, r.raw_offset) = (e.raw_partition, e.raw_offset)
RETURNING r.raw_partition, r.raw_offset, extract(epoch FROM r.hour)::bigint, e.duplicate, e.quarantined"""
_REVISE = """
WITH revised AS (
    SELECT r.raw_partition, r.raw_offset, least(r.accepted - n.accepted, r.accepted - s.number) AS taken,
        greatest(n.quarantined - r.quarantined, 0) AS quarantined
    FROM unnest(%s::int[], %s::bigint[], %s::int[], %s::int[], %s::int[]) AS n(p, o, messages, accepted, quarantined)
    JOIN ledger_raw r ON (r.raw_partition, r.raw_offset) = (n.p, n.o) AND r.received + r.replayed = n.messages
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(messages_stored + messages_duplicate + messages_quarantined), 0)::int AS number FROM ledger_stored
        WHERE (raw_partition, raw_offset) = (n.p, n.o)
    ) s
    WHERE NOT r.resent
), split AS (
    SELECT raw_partition, raw_offset, taken, least(taken, quarantined) AS quarantined FROM revised WHERE taken > 0
)
UPDATE ledger_raw r SET accepted = r.accepted - s.taken, duplicate = r.duplicate + s.taken - s.quarantined,
    quarantined = r.quarantined + s.quarantined
FROM split s WHERE (r.raw_partition, r.raw_offset) = (s.raw_partition, s.raw_offset)
RETURNING r.raw_partition, r.raw_offset, extract(epoch FROM r.hour)::bigint, s.quarantined - s.taken, -s.quarantined"""
_DEVICES = """
INSERT INTO ledger_devices AS d (hour, org, device, {columns})
SELECT to_timestamp(n.hour), n.org, n.device, {numbers} FROM unnest(%s::bigint[], %s::text[], %s::text[], {arrays})
    AS n(hour, org, device, {columns})
ON CONFLICT (hour, org, device) DO UPDATE SET {sums}""".format(
    columns=", ".join(DEVICE_COUNTS),
    numbers=", ".join(f"n.{column}" for column in DEVICE_COUNTS),
    arrays=", ".join(["%s::bigint[]"] * len(DEVICE_COUNTS)),
    sums=", ".join(f"{column} = d.{column} + excluded.{column}" for column in DEVICE_COUNTS),
)


async def enter_outcomes(
    connection: AsyncConnection, outcomes: Sequence[RawOutcome]
) -> tuple[list[RawOutcome], list[RawOutcome]]:
    """Write ledger records.

    Returns:
        Those that were new, to be counted by device; and those of a second pass, whose raw record has its row already.
    """
    by_key: dict[tuple[int, int], RawOutcome] = {}
    for outcome in outcomes:
        by_key.setdefault((outcome.partition, outcome.offset), outcome)
    if not by_key:
        return [], []
    rows = [(*key, by_key[key].hour // SECOND, *_sums(by_key[key])) for key in sorted(by_key)]
    new = await connection.execute(_RAW, [_numbers(column) for column in zip(*rows, strict=True)])
    entered = [by_key[partition, offset] for partition, offset in await new.fetchall()]
    if len(entered) == len(outcomes):
        return entered, []
    known = set(map(id, entered))
    return entered, [outcome for outcome in outcomes if id(outcome) not in known]


def _sums(outcome: RawOutcome) -> tuple[int, ...]:
    received = replayed = accepted = duplicate = quarantined = readings = 0
    for one in outcome.devices:
        received += one.received
        replayed += one.replayed
        accepted += one.accepted
        duplicate += one.duplicate
        quarantined += one.quarantined
        readings += one.readings
    return received, replayed, accepted, duplicate, quarantined, readings


async def accounted_for(connection: AsyncConnection, raw_records: Iterable[RawKey]) -> Accounted:
    """Read which messages of raw records are accounted for, and by which of their vitals records.

    Args:
        connection: in a transaction that has entered its readings: whoever accounted for the same ones has committed.
        raw_records: which; each has its entry, which may be empty.
    """
    found: Accounted = {key: {} for key in raw_records}
    if found:
        rows = await connection.execute(_ACCOUNTED, [_numbers(column) for column in zip(*found, strict=True)])
        for raw_partition, raw_offset, partition, messages in await rows.fetchall():
            bits = UNSAID if messages is None else int.from_bytes(messages, "little")
            found[raw_partition, raw_offset][partition] = bits
    return found


async def enter_stored(
    connection: AsyncConnection, counts: Mapping[Source, Counts], messages: Mapping[Source, int]
) -> set[Source]:
    """Write what became of vitals records.

    Args:
        connection: in a transaction.
        counts: by vitals record.
        messages: which messages it accounts for, where that is known: bit n is message n.

    Returns:
        Those that were new, to be counted by device.
    """
    if not counts:
        return set()
    rows = [(*source, *counts[source]) for source in sorted(counts)]
    bits = _words(_hex(messages.get(source, 0)) for source in sorted(counts))
    new = await connection.execute(_STORED, [*(_numbers(column) for column in zip(*rows, strict=True)), bits])
    return {Source(*row) for row in await new.fetchall()}


async def extend_stored(connection: AsyncConnection, counts: Mapping[Source, Counts], messages: Mapping[Source, int]) -> None:
    """Add to what became of vitals records that have their row; ``messages`` tells all that it then accounts for."""
    rows = [(*source, *counts[source]) for source in sorted(counts)]
    bits = _words(_hex(messages[source]) for source in sorted(counts))
    await connection.execute(_EXTEND, [*(_numbers(column) for column in zip(*rows, strict=True)), bits])


async def reclassify(connection: AsyncConnection, raw_records: Iterable[RawKey]) -> dict[RawKey, Reclassified]:
    """Count as accepted what reached the store although the ledger row calls it duplicate or quarantined.

    A worker that was killed goes over the last raw records again and remembers less than before: what was a duplicate in the
    first pass, whose row stands here, is then accepted and judged by the store. Only one of the two outcomes may count.

    Args:
        connection: in a transaction that has entered its rows.
        raw_records: those whose rows, or whose vitals records, were new in it.

    Returns:
        What was changed.
    """
    ordered = sorted(raw_records)
    if not ordered:
        return {}
    return await _changed(connection, _RECLASSIFY, ordered)


async def revise(connection: AsyncConnection, repeats: Iterable[RawOutcome]) -> dict[RawKey, Reclassified]:
    """Count no longer as accepted what a second pass refused and of which nothing has reached the store.

    A worker can be killed when its ledger record is in Kafka and its readings are not; and what it would have taken, the second
    pass may refuse: a loan was taken back in between. Where the readings did reach Kafka after all, ``reclassify`` counts them
    once they are here. So a raw record's row says what the least of its passes took, or what has arrived, if that is more.

    Args:
        connection: in a transaction that has entered its rows.
        repeats: ledger records of raw records that have their row.

    Returns:
        What was changed.
    """
    least: dict[RawKey, tuple[int, ...]] = {}
    for outcome in repeats:
        received, replayed, accepted, _, quarantined, _ = _sums(outcome)
        found = accepted, received + replayed, quarantined
        key = outcome.partition, outcome.offset
        least[key] = min(found, least.get(key, found))
    if not least:
        return {}
    rows = [(*key, messages, accepted, quarantined) for key, (accepted, messages, quarantined) in sorted(least.items())]
    return await _changed(connection, _REVISE, rows)


async def _changed(
    connection: AsyncConnection, statement: LiteralString, rows: Iterable[tuple[int, ...]]
) -> dict[RawKey, Reclassified]:
    found = await connection.execute(statement, [_numbers(column) for column in zip(*rows, strict=True)])
    return {
        (partition, offset): Reclassified(hour * SECOND, duplicate, quarantined)
        for partition, offset, hour, duplicate, quarantined in await found.fetchall()
    }


async def add_to_devices(connection: AsyncConnection, deltas: Deltas) -> None:
    """Add counts to the ledger's rows per hour and device, in an order that is everybody's, so that no two writers deadlock."""
    if not deltas:
        return
    keys = sorted(deltas)
    columns: list[str] = [
        _numbers(hour // SECOND for hour, _, _ in keys),
        _words(org for _, org, _ in keys),
        _words(device for _, _, device in keys),
    ]
    columns += [_numbers(column) for column in zip(*(deltas[key] for key in keys), strict=True)]
    await connection.execute(_DEVICES, columns)


def _numbers(values: Iterable[int]) -> str:
    """Write an array literal: many times cheaper than handing the driver a list."""
    return "{" + ",".join(map(str, values)) + "}"


def _hex(bits: int) -> str:
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little").hex()


def _words(values: Iterable[str]) -> str:
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"
