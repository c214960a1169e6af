"""Old rows of the outbox and of the ledger go."""

from __future__ import annotations

import asyncio
from typing import Any

from psycopg import AsyncConnection
from psycopg.sql import SQL

from registry import events
from registry.settings import KeeperSettings
from runtime.settings import DatabaseSettings

PAUSE_SECONDS = 3600.0
BATCH = 10_000
_OUTBOX = SQL(
    # The newest record of each key stays: it is what a lost Kafka is filled from.
    "DELETE FROM outbox WHERE version IN (SELECT o.version FROM outbox o WHERE o.published_at < now() - make_interval(secs => %s)"
    " AND EXISTS (SELECT FROM outbox n WHERE n.topic = o.topic AND n.key = o.key AND n.version > o.version"
    "  AND n.published_at IS NOT NULL) LIMIT %s)"
)
_LEDGER = SQL(
    # Both tables' rows of one raw record go together, so that what stays still closes; never a row the watchdog has not passed.
    "WITH gone AS (DELETE FROM ledger_raw WHERE (raw_partition, raw_offset) IN"
    "  (SELECT l.raw_partition, l.raw_offset FROM ledger_raw l JOIN ledger_marks m ON m.raw_partition = l.raw_partition"
    "   WHERE l.raw_offset < m.next AND l.hour < now() - make_interval(secs => %s) LIMIT %s) RETURNING raw_partition, raw_offset)"
    " DELETE FROM ledger_stored s USING gone WHERE s.raw_partition = gone.raw_partition AND s.raw_offset = gone.raw_offset"
)
DAY_SECONDS = 86_400


class Retention:
    """Removes old rows, once an hour as long as this keeper leads."""

    def __init__(self, settings: KeeperSettings, database: DatabaseSettings) -> None:
        self._database = database
        self._work = (
            ("outbox", _OUTBOX, settings.outbox_days * DAY_SECONDS),
            ("ledger", _LEDGER, settings.ledger_days * DAY_SECONDS),
        )

    async def run(self) -> None:
        """Prune until the database fails to answer.

        Raises:
            psycopg.Error: it did not answer.
        """
        while True:
            async with await AsyncConnection.connect(self._database.conninfo(), autocommit=True) as connection:
                for table, statement, seconds in self._work:
                    removed = await _prune(connection, statement, seconds)
                    if removed:
                        events.ROWS_PRUNED.emit(amount=removed, table=table)
            await asyncio.sleep(PAUSE_SECONDS)


async def _prune(connection: AsyncConnection[tuple[Any, ...]], statement: SQL, seconds: float) -> int:
    """Remove in small transactions, so that nobody waits long."""
    removed = 0
    while count := (await connection.execute(statement, (seconds, BATCH))).rowcount:
        removed += count
        if count < BATCH:
            break
    return removed
