"""Notices of withdrawals while an app's topic is missing."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from contracts.registry import AppRecord, ConsentRecord
from deploy.local.stack import Stack
from runtime import kafka
from sharing.known_apps import KnownApps
from sharing.notices import Notices
from tests.sharing_platform import Platform, database_settings, ensure_running, eventually, kafka_settings

HEART = "8867-4"


@pytest.fixture
def platform(stack: Stack) -> Iterator[Platform]:
    ensure_running(stack, "keeper")
    with psycopg.connect(database_settings(stack.settings("operator")).conninfo(), autocommit=True) as connection:
        yield Platform(stack, connection)


@asynccontextmanager
async def telling(platform: Platform, *names: str) -> AsyncIterator[Notices]:
    """The router's notices, which know of these apps."""
    known = KnownApps(bytes(32))
    for name in names:
        known.put(name, AppRecord(app=name, org=platform.org, client_id=name))
    settings = platform.stack.settings("router")
    producer = kafka.producer(kafka_settings(settings), enable_idempotence=False)
    await producer.start()
    async with AsyncConnectionPool(database_settings(settings).conninfo(), min_size=1, max_size=2, open=False) as pool:
        notices = Notices(known, defaultdict(asyncio.Lock), producer, pool)
        running = asyncio.create_task(notices.run())
        try:
            yield notices
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await producer.stop()


def withdrawn(app: str) -> ConsentRecord:
    """A consent that no other router knows."""
    return ConsentRecord(
        consent=str(uuid4()), subject="p", app=app, vitals=frozenset({HEART}), granted_at=1, withdrawn_at=2, revision=2
    )


def told(platform: Platform) -> list[str]:
    rows = platform.connection.execute("SELECT app FROM withdrawal_notices WHERE app LIKE %s", [f"%{platform.mark}"])
    return sorted(row[0] for row in rows)


async def test_an_app_whose_topic_is_missing_keeps_no_other_waiting_and_is_told_once_it_is_there(platform: Platform) -> None:
    late, ready = f"late-{platform.mark}", platform.app("ready")
    async with telling(platform, late, ready.app) as notices:
        notices.put(withdrawn(late))
        notices.put(withdrawn(ready.app))
        await eventually(lambda: told(platform) == [ready.app])
        platform.app("late")
        await eventually(lambda: told(platform) == [late, ready.app])
    (notice,) = await platform.received(ready)
    assert notice.kind == "agora.consent.withdrawn.v1"
