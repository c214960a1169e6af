"""Writing observations: COPY straight into the hypertable, and the careful way where one of them is there already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import pack as pack_struct

import psycopg
from psycopg import AsyncConnection, sql

from storage import rows
from storage.database import Refused, Undone, translated
from storage.tally import DUPLICATE, QUARANTINED, STORED

_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, rows.COLUMNS))
_IDENTITY = ("device_time", "device_key", "vital_key", "site_key", "sequence")
_COPY = sql.SQL("COPY observations ({}) FROM STDIN (FORMAT binary)").format(_COLUMNS)
_COPY_PENDING = sql.SQL("COPY pending (n, {}) FROM STDIN (FORMAT binary)").format(_COLUMNS)
_MAKE_PENDING = "CREATE TEMPORARY TABLE IF NOT EXISTS pending (n integer, LIKE observations) ON COMMIT DELETE ROWS"
# One look into the index per row, whatever the planner thinks of a table without statistics; the bounds leave out other chunks.
_FIND = (
    "SELECT p.n, o.value FROM pending p CROSS JOIN LATERAL (SELECT o.value FROM observations o"
    " WHERE o.device_time = p.device_time"
    " AND o.device_key = p.device_key AND o.vital_key = p.vital_key AND o.site_key = p.site_key AND o.sequence = p.sequence"
    " AND o.device_time BETWEEN '{}' AND '{}' LIMIT 1) o"
)
_INSERT = sql.SQL(
    "INSERT INTO observations ({columns}) SELECT {columns} FROM pending WHERE NOT n = ANY(%s) ORDER BY {identity}"
    " ON CONFLICT DO NOTHING"
).format(columns=_COLUMNS, identity=sql.SQL(", ").join(map(sql.Identifier, _IDENTITY)))
ATTEMPTS = 3


class _TryAgain(Exception):
    """Another writer stored one of our rows between our look and our insert."""


class Observations:
    """Writes rows within the caller's transaction."""

    def __init__(self) -> None:
        # After a batch with repeats another is likely: the failed COPY, whose dead rows stay behind, is then left out.
        self._repeats_expected = False

    async def write(self, connection: AsyncConnection, packed: Sequence[bytes | None]) -> bytearray | None:
        """Store what is new.

        Args:
            connection: in a transaction.
            packed: rows in the order of their arrival; None for what cannot be stored.

        Returns:
            An outcome per row, or None when every row was stored.

        Raises:
            Refused: the database refuses a row; the transaction's earlier work stands.
            Undone: other writers store the same readings at this moment.
        """
        if not packed:
            return None
        if not self._repeats_expected:
            present = [row for row in packed if row is not None]
            if len(present) == len(packed) and await self._copy(connection, present):
                return None
        outcomes = await self._write_carefully(connection, packed)
        self._repeats_expected = DUPLICATE in outcomes or QUARANTINED in outcomes
        return outcomes if self._repeats_expected else None

    async def find_refused(self, connection: AsyncConnection, packed: Sequence[bytes | None]) -> list[int]:
        """Find the rows that the database refuses, by offering it one at a time.

        Returns:
            Their positions; nothing is written.
        """
        refused = []
        for position, row in enumerate(packed):
            if row is not None:
                try:
                    async with connection.transaction(force_rollback=True):
                        with translated():
                            await self._copy(connection, [row])
                except Refused:
                    refused.append(position)
        return refused

    async def _copy(self, connection: AsyncConnection, present: Iterable[bytes]) -> bool:
        """Copy straight into the hypertable; False when a row is there already, and then nothing has happened."""
        try:
            async with connection.transaction():
                await _copy(connection, _COPY, sorted(present))
        except psycopg.errors.UniqueViolation:
            return False
        return True

    async def _write_carefully(self, connection: AsyncConnection, packed: Sequence[bytes | None]) -> bytearray:
        firsts: dict[bytes, int] = {}
        for position, row in enumerate(packed):
            if row is not None:
                firsts.setdefault(row[rows.IDENTITY], position)
        for _ in range(ATTEMPTS):
            try:
                async with connection.transaction():
                    stored = await self._merge(connection, packed, firsts.values())
            except _TryAgain:
                continue
            return _judge(packed, firsts, stored)
        raise Undone("other writers store the same readings")

    async def _merge(
        self, connection: AsyncConnection, packed: Sequence[bytes | None], positions: Iterable[int]
    ) -> dict[int, float]:
        """Insert the first row of each identity that is not stored yet.

        Returns:
            The stored values of those that were, by position.
        """
        numbered = sorted((row, position) for position in positions if (row := packed[position]) is not None)
        if not numbered:
            return {}
        await connection.execute(_MAKE_PENDING)
        fields = len(rows.COLUMNS) + 1
        await _copy(connection, _COPY_PENDING, [pack_struct(">hii", fields, 4, n) + row[2:] for row, n in numbered])
        span = await (await connection.execute("SELECT min(device_time)::text, max(device_time)::text FROM pending")).fetchone()
        assert span is not None, "an aggregate gives a row"
        found = await connection.execute(_FIND.format(*span))  # a literal, but for two instants of the database
        stored: dict[int, float] = dict(await found.fetchall())
        inserted = await connection.execute(_INSERT, (list(stored),))
        if inserted.rowcount != len(numbered) - len(stored):
            raise _TryAgain
        return stored


async def _copy(connection: AsyncConnection, statement: sql.Composed, packed: Iterable[bytes]) -> None:
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(rows.copy_data(packed))


def _judge(packed: Sequence[bytes | None], firsts: dict[bytes, int], stored: dict[int, float]) -> bytearray:
    """Compare every row with what now stands in the table, as if they had come one after the other."""
    outcomes = bytearray(len(packed))
    for position, row in enumerate(packed):
        if row is None:
            outcomes[position] = QUARANTINED
            continue
        first = firsts[row[rows.IDENTITY]]
        if position == first and first not in stored:
            outcomes[position] = STORED
            continue
        standing = stored.get(first)
        if standing is None:
            original = packed[first]
            assert original is not None, "the first row of an identity is a row"
            standing = rows.value_of(original)
        outcomes[position] = DUPLICATE if rows.same_value(rows.value_of(row), standing) else QUARANTINED
    return outcomes
