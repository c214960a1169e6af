"""When rows became visible: the database notes the time of each commit, a watcher notes when it could be seen.

PostgreSQL stamps a commit before it has reached the disk. So a watcher asks, up to a hundred times a second, for the newest stamp
on the store's positions, which move in every transaction of the store: what it sees has been made durable and visible. A row's
moment is the first look that saw its commit or a later one; that is late by at most the time between two looks.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from psycopg import AsyncConnection

_NEWEST = "SELECT (extract(epoch FROM max(pg_xact_commit_timestamp(xmin))) * 1e6)::bigint FROM offsets"
_ROWS = """
SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1e6)::bigint AS committed,
    (extract(epoch FROM {moment}) * 1e6)::bigint AS published, count(*)
FROM {table} WHERE {moment} >= to_timestamp(%s) GROUP BY 1, 2"""


@dataclass
class Seen:
    """Commits and when each was first seen, both in microseconds, in their order."""

    committed: list[int] = field(default_factory=list)
    looked: list[int] = field(default_factory=list)

    def take(self, committed: int, now: int) -> None:
        """Note a look."""
        if not self.committed or committed > self.committed[-1]:
            self.committed.append(committed)
            self.looked.append(now)

    def visible(self, committed: int) -> int | None:
        """Tell when a commit was visible at the latest; None where it was never seen."""
        place = bisect_left(self.committed, committed)
        return self.looked[place] if place < len(self.looked) else None


class Watcher:
    """Looks at the store's positions until it is left.

    Args:
        conninfo: of a role that may read them.
        look_seconds: between two looks.

    Attributes:
        seen: what it saw.
        backend: process id of its connection's server process, whose work is not the platform's.
    """

    def __init__(self, conninfo: str, look_seconds: float) -> None:
        self.seen = Seen()
        self.backend = 0
        self._conninfo = conninfo
        self._look_seconds = look_seconds
        self._connection: AsyncConnection | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to look."""
        self._connection = await AsyncConnection.connect(self._conninfo, autocommit=True)
        self.backend = self._connection.info.backend_pid
        self._task = asyncio.create_task(self._look(self._connection))
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Stop looking."""
        assert self._task is not None
        assert self._connection is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._connection.close()

    async def _look(self, connection: AsyncConnection) -> None:
        while True:
            row = await (await connection.execute(_NEWEST)).fetchone()
            if row is not None and row[0] is not None:
                self.seen.take(row[0], time.time_ns() // 1000)
            await asyncio.sleep(self._look_seconds)


async def rows_by_commit(
    conninfo: str, since: float, table: str = "observations", moment: str = "device_time"
) -> list[tuple[int, int, int]]:
    """Read when rows were published and committed.

    Args:
        conninfo: of a role that may read the table.
        since: rows measured at or after this wall clock, seconds.
        table: which.
        moment: its column with the time of the measurement.

    Returns:
        Stamp of the commit and moment of publishing, in microseconds, and how many rows have both.
    """
    async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
        found = await connection.execute(_ROWS.format(table=table, moment=moment), (since,))
        return [(committed, published, count) for committed, published, count in await found.fetchall()]


def latencies(rows: Iterable[tuple[int, int, int]], seen: Seen) -> list[tuple[float, int]]:
    """Give seconds from publishing to visibility, with how many rows each holds for.

    Args:
        rows: of ``rows_by_commit``.
        seen: what the watcher saw.
    """
    found = []
    for committed, published, count in rows:
        visible = seen.visible(committed)
        if visible is not None:
            found.append(((visible - published) / 1e6, count))
    return found
