"""The outbox as the keeper sees it: what is to be published, and up to when everything was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from psycopg import AsyncConnection

from registry.publication import Line

BATCH = 1000
Connection = AsyncConnection[tuple[Any, ...]]


class Pending(NamedTuple):
    """A record that Kafka has not confirmed yet."""

    version: int
    line: Line


class Look(NamedTuple):
    """What one look at the outbox found.

    Attributes:
        rows: the oldest unpublished records, in the order of their versions.
        as_of: instant by the database's clock, read before; None when there was more than one look could take. Everything
            committed before ``as_of`` is published once ``rows`` are.
    """

    rows: list[Pending]
    as_of: int | None


async def look(connection: Connection, batch: int = BATCH) -> Look:
    """Find what is to be published.

    Args:
        connection: the keeper's, every statement a transaction of its own: the clock must be read before the rows are
            looked up, by another statement, or a change committed between the two would be missed.
        batch: how many rows at most.
    """
    clock = await connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
    row = await clock.fetchone()
    assert row is not None
    found = await connection.execute(
        "SELECT version, topic, key, value::text FROM outbox WHERE published_at IS NULL ORDER BY version LIMIT %s", (batch,)
    )
    rows = [Pending(version, Line(topic, key, _bytes(value))) for version, topic, key, value in await found.fetchall()]
    return Look(rows, int(row[0]) if len(rows) < batch else None)


async def mark_published(connection: Connection, versions: Sequence[int]) -> None:
    """Note that Kafka has confirmed these records."""
    await connection.execute(
        "UPDATE outbox SET published_at = clock_timestamp() WHERE version = ANY(%s) AND published_at IS NULL", (list(versions),)
    )


async def pending_count(connection: Connection) -> int:
    """Count what is to be published."""
    row = await (await connection.execute("SELECT count(*) FROM outbox WHERE published_at IS NULL")).fetchone()
    assert row is not None
    return int(row[0])


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


def topics_of(rows: Iterable[Pending]) -> set[str]:
    """Give the topics that records go to."""
    return {row.line.topic for row in rows}
