"""The producer that asks for permission at the last moment, against a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import psycopg
import pytest

from deploy.local.stack import Stack
from sharing import apps
from sharing.leased_producer import LeasedProducer, PermissionLost
from tests.sharing_platform import Platform, database_settings, ensure_running
from tests.sharing_readings import EFFECTIVE_AT, SECOND, device_of
from tests.support.deliveries import Wall, consents_of, delivery_of, items_of, lendings_of, lent_to, producing


@pytest.fixture
def platform(stack: Stack) -> Iterator[Platform]:
    ensure_running(stack, "keeper")
    with psycopg.connect(database_settings(stack.settings("operator")).conninfo(), autocommit=True) as connection:
        yield Platform(stack, connection)


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


async def test_a_connection_that_could_not_be_made_is_made_before_the_next_question_and_not_after_it(platform: Platform) -> None:
    app, order = platform.app("rhythm"), list[str]()
    async with producing(platform) as producer:
        client = producer._producer.client
        ready = client.ready

        async def at_the_second_try(node_id: int, **options: object) -> bool:
            order.append("connecting")
            return order.count("connecting") > 1 and bool(await ready(node_id, **options))

        def permission() -> bool:
            order.append("asked")
            return True

        client.ready = at_the_second_try
        await send(producer, app, permission)
    assert order[:3] == ["connecting", "connecting", "asked"]


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


def before_leaving(producer: LeasedProducer, act: Callable[[], None]) -> None:
    """Have something happen while a batch waits for its connection."""
    client = producer._producer.client
    ready = client.ready

    async def late_ready(node_id: int, **options: object) -> bool:
        act()
        return bool(await ready(node_id, **options))

    client.ready = late_ready


async def test_a_consent_that_ends_while_its_reading_waits_to_leave_releases_it_no_more(platform: Platform) -> None:
    app, wall = platform.app("rhythm"), Wall()
    held = consents_of(app, "ending", ends_at=wall.time + SECOND) + consents_of(app, "lasting")
    async with producing(platform) as producer:
        before_leaving(producer, lambda: setattr(wall, "time", EFFECTIVE_AT + 10 * SECOND))
        delivery = await delivery_of(platform, app, producer, wall, held, lendings_of("ending", "lasting"))
        entries = await delivery.bring(app.app, items_of("ending", "lasting"))
    assert [entry.consent.subject for entry in entries] == ["lasting"]
    assert [record.consent for record in await platform.received(app)] == ["lasting"]


async def test_a_device_that_changes_hands_while_its_reading_waits_to_leave_releases_it_no_more(platform: Platform) -> None:
    app, lendings = platform.app("rhythm"), lendings_of("ada", "bob")
    async with producing(platform) as producer:
        before_leaving(producer, lambda: lendings.put(*lent_to(device_of("ada"), "carl")))
        delivery = await delivery_of(platform, app, producer, Wall(), consents_of(app, "ada", "bob"), lendings)
        entries = await delivery.bring(app.app, items_of("ada", "bob"))
    assert [entry.consent.subject for entry in entries] == ["bob"]
    assert [record.consent for record in await platform.received(app)] == ["bob"]


async def test_a_loan_the_router_has_not_heard_of_yet_is_asked_for_and_its_reading_released(platform: Platform) -> None:
    app, lendings = platform.app("rhythm"), lendings_of("ada")

    async def renew() -> None:
        lendings.put(*lent_to(device_of("bob"), "bob"))

    async with producing(platform) as producer:
        delivery = await delivery_of(platform, app, producer, Wall(), consents_of(app, "ada", "bob", "nobody"), lendings, renew)
        await delivery.bring(app.app, items_of("ada", "bob", "nobody"))
    assert [record.consent for record in await platform.received(app)] == ["ada", "bob"]
