"""Earlier owners that stand still in their transaction: their heir, to whom Kafka gave the partitions, ends their sessions.

A store that is frozen, or whose machine is gone, can leave a COPY open. Its session is then active, waits for its client, and
holds the fence; the database itself would wait for as long as the connection seems to live.
"""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import AsyncConnection

from storage.tables import Place

END_MILLISECONDS = 5_000
# Who updated a row stands in its last visible version; each transaction holds a lock on its own number. Only who waits for its
# client is ended: one that works, or that the database keeps waiting, will commit or be undone, and either is right.
_END = """
WITH holders AS MATERIALIZED (
    SELECT DISTINCT a.pid FROM offsets o
    JOIN unnest(%s::text[], %s::int[]) AS n(topic, partition) USING (topic, partition)
    JOIN pg_locks l ON l.locktype = 'transactionid' AND l.transactionid = o.xmax AND l.granted
    JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE a.usename = current_user AND a.pid <> pg_backend_pid()
    AND a.wait_event_type = 'Client' AND a.state_change < clock_timestamp() - make_interval(secs => %s)
)
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, %s)) FROM holders"""


async def end_holders(connection: AsyncConnection, places: Iterable[Place], seconds: float) -> int:
    """End the sessions that hold positions and have waited for their client too long; what they did is undone.

    Args:
        connection: in no transaction; as the role of those sessions, since PostgreSQL lets a role end its own only.
        places: the positions that could not be moved.
        seconds: how long in one statement, or between two, is too long.

    Returns:
        How many were ended.
    """
    ordered = sorted(places)
    arguments = [topic for topic, _ in ordered], [partition for _, partition in ordered], seconds, END_MILLISECONDS
    row = await (await connection.execute(_END, arguments)).fetchone()
    assert row is not None, "a count gives a row"
    return int(row[0])
