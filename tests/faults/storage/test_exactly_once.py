"""The store is killed, frozen, joined by another, and its database restarted, always under load: the counts must be exact."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from deploy.local.stack import Stack
from storage import ledger
from storage.ledger import Closing
from tests.support.storing import Clinic, Feeder, broker, database, new_clinic, query

DEVICES = [f"d{number}" for number in range(50)]
SECOND = {"AGORA_METRICS_PORT": "0"}


@pytest.fixture
def stores(stack: Stack) -> Iterator[Stack]:
    """The stack, whose stores are ended after the test whatever happened."""
    yield stack
    for name in ("store", "store-2"):
        stack.stop_process(name)


@asynccontextmanager
async def under_load(stack: Stack, clinic: Clinic, seconds: float) -> AsyncIterator[Feeder]:
    async with Feeder(stack, clinic) as feeder:
        loading = asyncio.create_task(feeder.load(DEVICES, seconds))
        try:
            yield feeder
            await loading
        finally:
            loading.cancel()


async def settled(stack: Stack) -> Closing:
    return await ledger.settle(database(stack, "operator"), broker(stack, "operator"), 60)


def assert_exact(clinic: Clinic, feeder: Feeder, closing: Closing) -> None:
    assert closing.settled, closing
    assert clinic.count() == feeder.readings
    counts = clinic.counts()
    assert (counts["received"], counts["stored"], counts["readings_stored"]) == (
        feeder.messages,
        feeder.messages,
        feeder.readings,
    )
    assert "duplicate_store" not in counts
    assert closing.closed, closing


async def test_a_store_killed_again_and_again_under_load_writes_everything_once(stores: Stack) -> None:
    clinic = new_clinic(stores, *DEVICES)
    chance = random.Random(7)
    stores.start_process("store")
    async with under_load(stores, clinic, 16) as feeder:
        for _ in range(5):
            await asyncio.sleep(chance.uniform(1.0, 3.0))
            stores.kill("store", signal.SIGKILL)
            stores.stop_process("store")
            stores.start_process("store")
    assert_exact(clinic, feeder, await settled(stores))


async def test_a_restart_of_the_database_under_load_loses_nothing(stores: Stack) -> None:
    clinic = new_clinic(stores, *DEVICES)
    stores.start_process("store", wait=True)
    async with under_load(stores, clinic, 8) as feeder:
        await asyncio.sleep(2)
        await asyncio.to_thread(stores.stop_process, "postgres")
        await asyncio.sleep(2)
        stores.start_server("postgres")
    assert_exact(clinic, feeder, await settled(stores))


async def test_a_second_store_takes_its_share_and_a_killed_one_is_replaced(stores: Stack) -> None:
    clinic = new_clinic(stores, *DEVICES)
    stores.start_process("store")
    async with under_load(stores, clinic, 12) as feeder:
        await asyncio.sleep(2)
        stores.start_process("store", SECOND, alias="store-2")
        await asyncio.sleep(4)
        stores.kill("store", signal.SIGKILL)
    assert_exact(clinic, feeder, await settled(stores))


async def test_a_store_asked_to_end_hands_over_at_once(stores: Stack) -> None:
    clinic = new_clinic(stores, *DEVICES)
    stores.start_process("store")
    stores.start_process("store", SECOND, alias="store-2")
    async with under_load(stores, clinic, 8) as feeder:
        await asyncio.sleep(4)
        assert await asyncio.to_thread(stores.stop_process, "store"), "it had to be killed"
    assert_exact(clinic, feeder, await settled(stores))


async def test_a_frozen_store_that_wakes_up_after_its_place_was_taken_does_no_harm(stores: Stack) -> None:
    clinic = new_clinic(stores, *DEVICES)
    stores.start_process("store", wait=True)
    async with under_load(stores, clinic, 20) as feeder:
        await asyncio.sleep(2)
        stores.kill("store", signal.SIGSTOP)
        stores.start_process("store", SECOND, alias="store-2")
        await asyncio.sleep(14)
        taken_over = clinic.count()
        stores.kill("store", signal.SIGCONT)
    assert taken_over > 0
    assert_exact(clinic, feeder, await settled(stores))


async def test_a_store_whose_connection_is_cut_in_a_transaction_goes_on_where_the_database_stands(stores: Stack) -> None:
    clinic = new_clinic(stores, *DEVICES)
    stores.start_process("store", wait=True)
    async with under_load(stores, clinic, 6) as feeder:
        for _ in range(12):
            await asyncio.sleep(0.4)
            query(
                database(stores, "owner"),
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'agora_store'",
            )
    assert_exact(clinic, feeder, await settled(stores))
