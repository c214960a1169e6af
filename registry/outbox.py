"""The outbox as writers of the registry use it: a change and its record in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from contracts.registry import Record
from contracts.topics import Topic

LOCK = 4201
"""Number of the advisory lock under which the registry changes, held until the commit; ``outbox_append`` takes it, too."""
Database = Connection[TupleRow]
"""A connection of the operator's role. Functions of this room open their own transaction on it (a savepoint within one of the
caller's).
"""


def hold(connection: Connection[Any]) -> None:
    """Wait until nobody else changes the registry, and hold them up until the commit; for changes whose instant matters.

    Whoever reads the clock first and waits here afterwards records an instant from which nothing was in force yet.

    Args:
        connection: in a transaction, of any role.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))


def append(connection: Database, topic: Topic, key: str, record: Record | None) -> int:
    """Put a record into the outbox; call it last in a transaction, since it holds up other writers until the commit.

    Args:
        connection: in a transaction.
        topic: a registry topic.
        key: of the record.
        record: what processors shall know, or None where the key is gone.

    Returns:
        Its version.
    """
    return append_many(connection, topic, [(key, record)])[0]


def append_many(connection: Database, topic: Topic, records: Sequence[tuple[str, Record | None]]) -> list[int]:
    """Put several records into the outbox, in their order.

    Args:
        connection: in a transaction.
        topic: a registry topic.
        records: key and record each.

    Returns:
        Their versions.
    """
    keys = [key for key, _ in records]
    values = [None if record is None else Jsonb(content(record)) for _, record in records]
    rows = connection.execute(
        "SELECT outbox_append(%s, given.key, given.value)"
        " FROM unnest(%s::text[], %s::jsonb[]) WITH ORDINALITY AS given (key, value, number) ORDER BY given.number",
        (topic.name, keys, values),
    ).fetchall()
    return [version for (version,) in rows]


def content(record: Record) -> dict[str, object]:
    """Give a record as JSON without its version, which the outbox sets."""
    values = record.model_dump(mode="json", exclude={"version"})
    # A set has no order; sorted, equal records are equal as text.
    return {name: sorted(value) if isinstance(getattr(record, name), frozenset) else value for name, value in values.items()}


def is_published(connection: Database, version: int) -> bool:
    """Tell whether the keeper has confirmed a record in Kafka."""
    row = connection.execute("SELECT published_at IS NOT NULL FROM outbox WHERE version = %s", (version,)).fetchone()
    return row is None or bool(row[0])  # pruned rows were published
