"""One keeper leads: the one that holds an advisory lock of the database.

The lock lives as long as its session. A killed keeper's session ends with its socket; one that stands still (stopped, frozen,
cut off) is ended by the database itself after ``IDLE_SECONDS``, because a leader that lives asks it something several times a
second. What a former leader could still do when it wakes up is fenced where it matters: in Kafka by the transactional id
(``registry.publication``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg import AsyncConnection, sql

from contracts.errors import AgoraError
from registry import events
from registry.signals import Signal
from runtime.settings import DatabaseSettings

LOCK = 4202
"""Number of the advisory lock; 4201 is the outbox's."""
IDLE_SECONDS = 3.0
DOUBT_SECONDS = 2.0
"""How long after the last answer of the lock's session the leadership counts as sure; well below ``IDLE_SECONDS``."""
PING_SECONDS = 0.25
STAND_BY_SECONDS = 0.25
RETRY_SECONDS = 1.0
CHANNEL = "agora_outbox"


class LeadershipLost(AgoraError):
    """The lock's session ended, or is in doubt."""


class Leadership:
    """The lock, and the ear for changes on the same session.

    Attributes:
        changed: raised whenever something came into the outbox.
    """

    def __init__(self, connection: AsyncConnection[tuple[object, ...]], asked_at: float) -> None:
        self.changed = Signal()
        self._connection = connection
        self._sure_at = asked_at

    def is_sure(self) -> bool:
        """Tell whether this keeper surely leads at this moment. The clock used goes on while the process is stopped."""
        return time.monotonic() - self._sure_at < DOUBT_SECONDS

    async def hold(self) -> None:
        """Keep the session alive and hand on what it hears, for ever.

        Raises:
            LeadershipLost: it ended.
        """
        while True:
            asked_at = time.monotonic()
            try:
                async with asyncio.timeout(DOUBT_SECONDS):
                    await self._connection.execute("SELECT 1")
                    self._sure_at = asked_at
                    async for _ in self._connection.notifies(timeout=PING_SECONDS, stop_after=1):
                        self.changed.raise_()
            except (psycopg.Error, OSError, TimeoutError) as error:
                raise LeadershipLost(type(error).__name__) from error


@asynccontextmanager
async def acquire(settings: DatabaseSettings) -> AsyncIterator[Leadership]:
    """Wait until this keeper leads.

    Args:
        settings: the database; while it is away it is waited for.

    Yields:
        The leadership; ``hold`` must run meanwhile.
    """
    connection, asked_at = await _lock(settings)
    try:
        events.LEADERSHIP_TAKEN.emit()
        events.LEADER.set(1)
        yield Leadership(connection, asked_at)
    finally:
        events.LEADER.set(0)
        await connection.close()


async def _lock(settings: DatabaseSettings) -> tuple[AsyncConnection[tuple[object, ...]], float]:
    told = missed = False
    while True:
        try:
            connection = await _connect(settings)
        except psycopg.Error:
            if not missed:
                events.DATABASE_MISSED.emit()
            missed = True
            await asyncio.sleep(RETRY_SECONDS)
            continue
        missed = False
        try:
            while True:
                asked_at = time.monotonic()
                if await _try_lock(connection):
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
                    return connection, asked_at
                if not told:
                    events.STANDING_BY.emit()
                    told = True
                await asyncio.sleep(STAND_BY_SECONDS)
        except (psycopg.Error, TimeoutError):
            await connection.close()
            await asyncio.sleep(RETRY_SECONDS)
        except BaseException:
            await connection.close()
            raise


async def _connect(settings: DatabaseSettings) -> AsyncConnection[tuple[object, ...]]:
    connection = await AsyncConnection.connect(settings.conninfo(), autocommit=True)
    await connection.execute(sql.SQL("SET idle_session_timeout = {}").format(sql.Literal(f"{round(IDLE_SECONDS * 1000)}ms")))
    return connection


async def _try_lock(connection: AsyncConnection[tuple[object, ...]]) -> bool:
    async with asyncio.timeout(5):
        cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,))
        row = await cursor.fetchone()
    return row == (True,)
