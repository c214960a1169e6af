"""The producer that asks for permission at the last moment, against a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from deploy.local.stack import Stack
from sharing import apps
from sharing.leased_producer import LeasedProducer, PermissionLost
from tests.sharing_platform import Platform, database_settings, ensure_running, kafka_settings


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
