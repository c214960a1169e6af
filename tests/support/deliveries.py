"""The router's delivery by itself, with what it knows given by the test, against a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from psycopg_pool import AsyncConnectionPool

from contracts.frames import Coordinates
from contracts.registry import AppRecord, ConsentRecord, DeviceRecord, Loan
from runtime.clock import elapsed
from sharing import apps
from sharing.delivery import Delivery, Item
from sharing.known_apps import KnownApps
from sharing.lease import Lease
from sharing.leased_producer import LeasedProducer
from sharing.lendings import Lendings
from sharing.release import ConsentIndex
from tests.sharing_platform import Platform, database_settings, kafka_settings
from tests.sharing_readings import EFFECTIVE_AT, ORG, SECOND, device_of, reading

HEART = "8867-4"
Send = Callable[..., Awaitable[Any]]


@asynccontextmanager
async def producing(platform: Platform, wrap: Callable[[Send], Send] = lambda send: send) -> AsyncIterator[LeasedProducer]:
    """The router's producer; what comes after its question can be wrapped."""
    producer = LeasedProducer(kafka_settings(platform.stack.settings("router")))
    client = producer._producer.client
    client.send = wrap(client.send)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


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
    consents: Iterable[ConsentRecord],
    lendings: Lendings,
    renew: Callable[[], Awaitable[None]] = nothing_new,
) -> Delivery:
    index = ConsentIndex()
    for consent in consents:
        index.put(consent.consent, consent)
    lease, known_apps = Lease((wall,), wall.now), await known(platform, app)
    return Delivery(lease, index, lendings, known_apps, producer, renew, wall.now, asyncio.Event())
