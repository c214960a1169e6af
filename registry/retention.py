"""Old rows of the outbox, of settlements and of the ledger go."""

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
    "WITH gone AS (DELETE FROM outbox WHERE version IN"
    "  (SELECT o.version FROM outbox o WHERE o.published_at < now() - make_interval(secs => %s) AND EXISTS"
    "    (SELECT FROM outbox n WHERE n.topic = o.topic AND n.key = o.key AND n.version > o.version"
    "     AND n.published_at IS NOT NULL) LIMIT %s) RETURNING version) SELECT count(*) FROM gone"
)
_LEDGER = SQL(
    # Never a row the watchdog has not passed, nor one that was resent: the ledger's sums leave out what was counted for it.
    "WITH gone AS (DELETE FROM ledger_raw WHERE (raw_partition, raw_offset) IN"
    "  (SELECT l.raw_partition, l.raw_offset FROM ledger_raw l JOIN ledger_marks m ON m.raw_partition = l.raw_partition"
    "   WHERE l.raw_offset < m.next AND NOT l.resent AND l.hour < now() - make_interval(secs => %s) LIMIT %s)"
    "  RETURNING raw_partition, raw_offset), stored AS (DELETE FROM ledger_stored s USING gone"
    "  WHERE s.raw_partition = gone.raw_partition AND s.raw_offset = gone.raw_offset)"
    " SELECT count(*) FROM gone"
)
_SETTLEMENTS = SQL(
    "WITH gone AS (DELETE FROM settlements WHERE settlement_id IN (SELECT settlement_id FROM settlements"
    "  WHERE done_at < now() - make_interval(secs => %s) LIMIT %s) RETURNING settlement_id) SELECT count(*) FROM gone"
)
DAY_SECONDS = 86_400


class Retention:
    """Removes old rows, once an hour as long as this keeper leads."""

    def __init__(self, settings: KeeperSettings, database: DatabaseSettings) -> None:
        self._database = database
        self._work = (
            ("outbox", _OUTBOX, settings.outbox_days * DAY_SECONDS),
            ("settlements", _SETTLEMENTS, settings.outbox_days * DAY_SECONDS),
            ("ledger", _LEDGER, settings.ledger_days * DAY_SECONDS),
        )

    async def run(self) -> None:
        """Prune until the database fails to answer.

        Raises:
            psycopg.Error: it did not answer.
        """
        while True:
            async with await AsyncConnection.connect(self._database.conninfo(), autocommit=True) as connection:
                await self.prune(connection)
            await asyncio.sleep(PAUSE_SECONDS)

    async def prune(self, connection: AsyncConnection[tuple[Any, ...]]) -> None:
        """Remove what is old by now."""
        for table, statement, seconds in self._work:
            removed = await _prune(connection, statement, seconds)
            if removed:
                events.ROWS_PRUNED.emit(amount=removed, table=table)


async def _prune(connection: AsyncConnection[tuple[Any, ...]], statement: SQL, seconds: float) -> int:
    """Remove in small transactions, so that nobody waits long."""
    removed = 0
    while True:
        row = await (await connection.execute(statement, (seconds, BATCH))).fetchone()
        assert row is not None
        count = int(row[0])
        removed += count
        if count < BATCH:
            return removed
