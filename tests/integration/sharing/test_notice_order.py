"""The erase notice and the last reading, where one router heard of the withdrawal and another has not yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from aiokafka.protocol.produce import ProduceRequest
from psycopg_pool import AsyncConnectionPool

from contracts.registry import LEASE_SECONDS, ConsentRecord
from deploy.local.stack import Stack
from runtime import kafka
from sharing import apps
from sharing.delivery import Delivery
from sharing.notices import Notices
from tests.sharing_platform import Platform, database_settings, ensure_running, eventually, kafka_settings
from tests.support.deliveries import Send, Wall, consents_of, delivery_of, items_of, known, lendings_of, producing


@pytest.fixture
def platform(stack: Stack) -> Iterator[Platform]:
    ensure_running(stack, "keeper")
    with psycopg.connect(database_settings(stack.settings("operator")).conninfo(), autocommit=True) as connection:
        yield Platform(stack, connection)


class Router:
    """What of a router matters here: it brings readings and tells of withdrawals, and hears of these when the test says so.

    Attributes:
        permitted: a batch has its permission and is about to be written.
        go_on: set, it is written.
    """

    def __init__(self) -> None:
        self.permitted, self.go_on = asyncio.Event(), asyncio.Event()
        self.delivery: Delivery
        self.notices: Notices

    def wrap(self, send: Send) -> Send:
        async def held(node_id: int, request: Any, **options: Any) -> Any:
            if isinstance(request, ProduceRequest):
                self.permitted.set()
                await self.go_on.wait()
            return await send(node_id, request, **options)

        return held

    def hear(self, consent: ConsentRecord) -> None:
        self.delivery._consents.put(consent.consent, consent)
        self.notices.put(consent)


@asynccontextmanager
async def routing(platform: Platform, app: apps.Access, consent: ConsentRecord) -> AsyncIterator[Router]:
    """One router of several."""
    router, settings = Router(), platform.stack.settings("router")
    async with (
        producing(platform, router.wrap) as producer,
        kafka.producer(kafka_settings(settings), enable_idempotence=False) as announcer,
        AsyncConnectionPool(database_settings(settings).conninfo(), min_size=1, max_size=2, open=False) as pool,
    ):
        router.delivery = await delivery_of(platform, app, producer, Wall(), [consent], lendings_of(consent.subject))
        router.notices = Notices(await known(platform, app), router.delivery.locks, announcer, pool)
        telling = asyncio.create_task(router.notices.run())
        try:
            yield router
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


def told(platform: Platform, app: apps.Access) -> int:
    row = platform.connection.execute("SELECT count(*) FROM withdrawal_notices WHERE app = %s", [app.app]).fetchone()
    assert row is not None
    return int(row[0])


async def test_the_notice_stands_behind_a_reading_of_a_router_that_heard_of_the_withdrawal_later(platform: Platform) -> None:
    app = platform.app("rhythm")
    consent = consents_of(app, "leaving")[0].model_copy(update={"consent": str(uuid4())})
    withdrawn = consent.model_copy(update={"withdrawn_at": Wall().time, "revision": 2})
    async with routing(platform, app, consent) as first, routing(platform, app, consent) as second:
        bringing = asyncio.create_task(second.delivery.bring(app.app, items_of(consent.subject)))
        await second.permitted.wait()
        first.hear(withdrawn)
        await asyncio.sleep(LEASE_SECONDS)  # so long the second's lease may last
        second.go_on.set()
        (entry,) = await bringing
        second.hear(withdrawn)
        await eventually(lambda: told(platform, app) > 0)
        kinds = await appended(platform, app, 3)
    assert entry.outcome == "released"
    assert kinds[0] == "agora.observation.released.v1"
    assert set(kinds[1:]) == {"agora.consent.withdrawn.v1"}


async def appended(platform: Platform, app: apps.Access, count: int) -> list[str]:
    """Wait until so many records stand on the app's topic; gives their kinds, in order."""
    async with asyncio.timeout(15):
        while len(found := await platform.received(app)) < count:
            pass
    return [record.kind for record in found]
