"""The producer that asks for permission at the last moment, against a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from contracts.frames import Coordinates
from contracts.registry import AppRecord, ConsentRecord, DeviceRecord, Loan
from deploy.local.stack import Stack
from runtime.clock import elapsed
from sharing import apps
from sharing.delivery import Delivery, Item
from sharing.known_apps import KnownApps
from sharing.lease import Lease
from sharing.leased_producer import LeasedProducer, PermissionLost
from sharing.lendings import Lendings
from sharing.release import ConsentIndex
from tests.sharing_platform import Platform, database_settings, ensure_running, kafka_settings
from tests.sharing_readings import EFFECTIVE_AT, ORG, SECOND, device_of, reading

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


def consents_of(app: apps.Access, *subjects: str, ends_at: int | None = None) -> list[ConsentRecord]:
    vitals = frozenset({HEART})
    return [
        ConsentRecord(consent=subject, subject=subject, app=app.app, vitals=vitals, granted_at=1, ends_at=ends_at)
        for subject in subjects
    ]


def lendings_of(*subjects: str) -> Lendings:
    made = Lendings()
    for subject in subjects:
        made.put(*lent_to(device_of(subject), subject))
    return made


def lent_to(device: str, subject: str) -> tuple[str, DeviceRecord]:
    record = DeviceRecord(org=ORG, device=device, model="agora-generic", loans=(Loan(start=0, subject=subject),))
    return f"{ORG}/{device}", record


def items_of(*subjects: str) -> list[Item]:
    return [Item(Coordinates("vitals", 0, 0), 0, [reading(HEART, 60.0, subject=subject)]) for subject in subjects]


async def nothing_new() -> None:
    """The registry's topic holds no more than is known."""


async def delivery_of(
    platform: Platform,
    app: apps.Access,
    producer: LeasedProducer,
    wall: Wall,
    consents: list[ConsentRecord],
    lendings: Lendings,
    renew: Callable[[], Awaitable[None]] = nothing_new,
) -> Delivery:
    index = ConsentIndex()
    for consent in consents:
        index.put(consent.consent, consent)
    lease, known_apps = Lease((wall,), wall.now), await known(platform, app)
    return Delivery(lease, index, lendings, known_apps, producer, renew, wall.now, asyncio.Event())


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
