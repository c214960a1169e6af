"""The producer that asks for permission at the last moment, against a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from contracts.frames import Coordinates
from contracts.registry import AppRecord, ConsentRecord
from deploy.local.stack import Stack
from runtime.clock import elapsed
from sharing import apps
from sharing.delivery import Delivery, Item
from sharing.known_apps import KnownApps
from sharing.lease import Lease
from sharing.leased_producer import LeasedProducer, PermissionLost
from sharing.release import ConsentIndex
from tests.sharing_platform import Platform, database_settings, ensure_running, kafka_settings
from tests.sharing_readings import EFFECTIVE_AT, SECOND, reading

HEART = "8867-4"


@pytest.fixture
def platform(stack: Stack) -> Iterator[Platform]:
    ensure_running(stack, "keeper")
    with psycopg.connect(database_settings(stack.settings("operator")).conninfo(), autocommit=True) as connection:
        yield Platform(stack, connection)


@asynccontextmanager
async def producing(platform: Platform) -> AsyncIterator[LeasedProducer]:
    producer = LeasedProducer(kafka_settings(platform.stack.settings("router")))
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(producer: LeasedProducer, app: apps.Access, permission: Callable[[], bool]) -> int:
    batch = producer.batch()
    batch.append(key=b"k", value=b"{}", timestamp=None, headers=[])
    return int((await producer.send(app.topic, batch, permission)).offset)


async def test_without_permission_nothing_is_appended_and_with_it_the_next_batch_is(platform: Platform) -> None:
    app = platform.app("rhythm")
    async with producing(platform) as producer:
        for _ in range(3):
            with pytest.raises(PermissionLost):
                await send(producer, app, lambda: False)
        assert await send(producer, app, lambda: True) == 0
        assert await send(producer, app, lambda: True) == 1
    assert len(await platform.received(app)) == 2


async def test_permission_is_asked_after_the_connection_stands_since_connecting_takes_time(platform: Platform) -> None:
    app = platform.app("rhythm")
    async with producing(platform) as producer:
        await send(producer, app, lambda: True)
        client = producer._producer.client
        order: list[str] = []
        ready = client.ready

        async def slow_ready(node_id: int, **options: object) -> bool:
            await asyncio.sleep(0.1)
            order.append("ready")
            return bool(await ready(node_id, **options))

        client.ready = slow_ready
        asked = 0

        def permission() -> bool:
            nonlocal asked
            asked += 1
            order.append("asked")
            return False

        with pytest.raises(PermissionLost):
            await send(producer, app, permission)
        assert order == ["ready", "asked"]
        assert asked == 1


async def test_a_batch_that_was_given_up_while_it_waited_never_leaves(platform: Platform) -> None:
    app = platform.app("rhythm")
    async with producing(platform) as producer:
        await send(producer, app, lambda: True)
        client = producer._producer.client
        ready, connected = client.ready, asyncio.Event()

        async def late_ready(node_id: int, **options: object) -> bool:
            await connected.wait()
            return bool(await ready(node_id, **options))

        client.ready = late_ready
        given_up = asyncio.create_task(send(producer, app, lambda: True))
        await asyncio.sleep(0.2)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        connected.set()
        await asyncio.sleep(0.5)
    assert len(await platform.received(app)) == 1


class Wall:
    """A clock that the test moves, and a registry that is always heard."""

    def __init__(self) -> None:
        self.time = EFFECTIVE_AT + SECOND

    @property
    def heartbeat_as_of(self) -> int:
        return self.time

    @property
    def heard_at(self) -> float:
        return elapsed()

    def now(self) -> int:
        return self.time


async def known(platform: Platform, app: apps.Access) -> KnownApps:
    found = KnownApps(bytes(32))
    found.put(app.app, AppRecord(app=app.app, org=platform.org, client_id=app.client_id))
    conninfo = database_settings(platform.operator).conninfo()
    async with AsyncConnectionPool(conninfo, min_size=1, max_size=1, open=False) as pool:
        await found.look(pool)
    return found


async def test_a_consent_that_ends_while_its_reading_waits_to_leave_releases_it_no_more(platform: Platform) -> None:
    app, wall, consents = platform.app("rhythm"), Wall(), ConsentIndex()
    for subject, ends_at in (("ending", wall.time + SECOND), ("lasting", None)):
        vitals = frozenset({HEART})
        consents.put(
            subject, ConsentRecord(consent=subject, subject=subject, app=app.app, vitals=vitals, granted_at=1, ends_at=ends_at)
        )
    items = [Item(Coordinates("vitals", 0, 0), [reading(HEART, 60.0, subject=subject)]) for subject in ("ending", "lasting")]
    async with producing(platform) as producer:
        client = producer._producer.client
        ready = client.ready

        async def late_ready(node_id: int, **options: object) -> bool:
            wall.time = EFFECTIVE_AT + 10 * SECOND
            return bool(await ready(node_id, **options))

        client.ready = late_ready
        lease = Lease((wall,), wall.now)
        delivery = Delivery(lease, consents, await known(platform, app), producer, wall.now, asyncio.Event())
        entries = await delivery.bring(app.app, items)
    assert [entry.consent.subject for entry in entries] == ["lasting"]
    assert [record.consent for record in await platform.received(app)] == ["lasting"]
