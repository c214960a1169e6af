"""Reading the quarantine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg import AsyncConnection
from psycopg.rows import class_row

_COLUMNS: LiteralString = """quarantine_id, source, source_index, messages, org, device, stage, code, words, field, topic,
    octet_length(payload) AS bytes, received_at, quarantined_at, software, message_id, replay_of, replayed_at, raw_source"""
_WHERE: LiteralString = """ FROM quarantine WHERE (%(code)s = '' OR code = %(code)s)
    AND (%(device)s = '' OR org || '/' || device = %(device)s) AND quarantined_at >= %(since)s
    AND (%(replayed)s OR replayed_at IS NULL)"""
_ONE: LiteralString = "SELECT " + _COLUMNS + " FROM quarantine WHERE quarantine_id = %s"  # noqa: S608 - literals only
LONG_AGO = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class Quarantined:
    """A row of the quarantine, without the payload, which is shown on request only.

    Attributes:
        quarantine_id: number.
        source: ``topic/partition/offset`` of the record it came in.
        source_index: its place there; -1 for a record that could not be read as a whole.
        messages: how many messages it stands for.
        org: organisation, or empty.
        device: device, or empty.
        stage: who refused it.
        code: why.
        words: why, in words.
        field: where in the message, or empty.
        topic: MQTT topic, or empty where the store refused a reading.
        bytes: length of the payload.
        received_at: when the bridge had it.
        quarantined_at: when it was refused.
        software: version that refused it.
        message_id: the message's own id, or None.
        replay_of: what it was a replay of, or None.
        replayed_at: when it was last sent through again, or None.
        raw_source: the raw message it came from, where the store refused it.
    """

    quarantine_id: int
    source: str
    source_index: int
    messages: int
    org: str
    device: str
    stage: str
    code: str
    words: str
    field: str
    topic: str
    bytes: int
    received_at: datetime
    quarantined_at: datetime
    software: str
    message_id: str | None
    replay_of: str | None
    replayed_at: datetime | None
    raw_source: str | None


@dataclass(frozen=True)
class Selection:
    """Which rows.

    Attributes:
        code: only of this code; empty for all.
        device: only of this ``<org>/<device>``; empty for all.
        since: quarantined from then on.
        replayed: also those that were sent through again.
    """

    code: str = ""
    device: str = ""
    since: datetime = LONG_AGO
    replayed: bool = False

    def parameters(self) -> dict[str, object]:
        """Give the query's parameters."""
        return {"code": self.code, "device": self.device, "since": self.since, "replayed": self.replayed}


async def find(connection: AsyncConnection, selection: Selection, limit: int = 50) -> list[Quarantined]:
    """List rows, newest first.

    Args:
        connection: of a role that reads the quarantine.
        selection: which.
        limit: at most so many.

    Returns:
        Rows without payload.
    """
    async with connection.cursor(row_factory=class_row(Quarantined)) as cursor:
        statement: LiteralString = "SELECT " + _COLUMNS + _WHERE + " ORDER BY quarantine_id DESC LIMIT %(limit)s"
        await cursor.execute(statement, selection.parameters() | {"limit": limit})
        return await cursor.fetchall()


async def count_by_code(connection: AsyncConnection, selection: Selection) -> dict[str, int]:
    """Count rows by code, most frequent first."""
    statement: LiteralString = "SELECT code, count(*)" + _WHERE + " GROUP BY code ORDER BY 2 DESC, 1"
    return dict(await (await connection.execute(statement, selection.parameters())).fetchall())


async def get(connection: AsyncConnection, number: int) -> Quarantined | None:
    """Read one row, None where there is none of that number."""
    async with connection.cursor(row_factory=class_row(Quarantined)) as cursor:
        await cursor.execute(_ONE, (number,))
        return await cursor.fetchone()


async def payload(connection: AsyncConnection, number: int) -> bytes:
    """Read the payload of a row that exists: a patient's data."""
    row = await (await connection.execute("SELECT payload FROM quarantine WHERE quarantine_id = %s", (number,))).fetchone()
    assert row is not None, "the row exists"
    return bytes(row[0])
