"""The store is killed, frozen, joined by another, and its database restarted, always under load: the counts must be exact."""

import asyncio
import json
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.local.instance import CHECKOUT
from deploy.local.stack import Stack
from storage import ledger
from storage.ledger import Closing
from tests.support.storing import Clinic, Feeder, broker, database, new_clinic, query

DEVICES = [f"d{number}" for number in range(50)]
SECOND = {"AGORA_METRICS_PORT": "0"}
FENCED = {"storage.writer_fenced", "storage.positions_loaded"}
"""What one that wakes tells: that its transaction was undone, or that it asked anew since its partitions were another's."""


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


async def until(condition: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - what is asked lives in other processes
            await asyncio.sleep(0.1)


def log_size(stack: Stack, name: str) -> int:
    log = stack.instance.logs / f"{name}.log"
    return log.stat().st_size if log.exists() else 0


def told(stack: Stack, name: str, since: int = 0) -> set[str]:
    """Give the events in a process's log from a place on."""
    lines = (stack.instance.logs / f"{name}.log").read_bytes()[since:].splitlines()
    return {json.loads(line)["event"] for line in lines if line.startswith(b"{") and line.endswith(b"}")}


def state_of(process: asyncio.subprocess.Process) -> str:
    """Give the kernel's letter for what it does: T while it is stopped."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def sessions(clinic: Clinic) -> list[tuple[str, str]]:
    """Give what the stores' sessions in the database do and wait for."""
    return query(clinic.owner, "SELECT state, wait_event FROM pg_stat_activity WHERE usename = 'agora_store'")


@asynccontextmanager
async def stopping_store(
    stack: Stack, where: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a store until it has stopped itself in a transaction; in the end it is killed."""
    command = [sys.executable, "-m", "tests.support.stopping_store", where]
    env = stack.env("store") | SECOND | dict(settings or {})
    with (stack.instance.logs / f"stopping-{where}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=env, cwd=CHECKOUT, stdout=log, stderr=log)
    try:
        await until(lambda: state_of(process) == "T", 60)
        yield process
    finally:
        process.kill()
        await process.wait()


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


@pytest.mark.timeout(300)
async def test_a_frozen_store_that_wakes_up_after_its_place_was_taken_does_no_harm(stores: Stack) -> None:
    clinic = new_clinic(stores, *DEVICES)
    stores.start_process("store", wait=True)
    async with under_load(stores, clinic, 20) as feeder:
        await asyncio.sleep(2)
        stores.kill("store", signal.SIGSTOP)
        known, written = log_size(stores, "store"), clinic.count()
        assert written > 0
        stores.start_process("store", SECOND, alias="store-2")
        await until(lambda: clinic.count() > written + 500, 60)  # more than a COMMIT on its way at the stop could bring
        stores.kill("store", signal.SIGCONT)
        await until(lambda: told(stores, "store", known) & FENCED != set(), 60)
    assert_exact(clinic, feeder, await settled(stores))


@pytest.mark.timeout(300)
async def test_a_store_stopped_with_a_copy_open_is_ended_by_its_heir_which_goes_on(stores: Stack) -> None:
    clinic = new_clinic(stores, *DEVICES)
    async with under_load(stores, clinic, 20) as feeder, stopping_store(stores, "copy") as stopped:
        assert sessions(clinic) == [("active", "ClientRead")]
        known, written = log_size(stores, "store"), clinic.count()
        stores.start_process("store", {"AGORA_STORAGE_LOCK_SECONDS": "2"})
        await until(lambda: clinic.count() > written, 60)
        assert "storage.holder_ended" in told(stores, "store", known)
        assert "storage.store_failed" not in told(stores, "store", known)
        stopped.send_signal(signal.SIGCONT)
        await until(lambda: "storage.database_awaited" in told(stores, "stopping-copy"), 30)
    assert_exact(clinic, feeder, await settled(stores))


@pytest.mark.timeout(300)
async def test_a_store_stopped_between_two_statements_is_ended_by_the_database(stores: Stack) -> None:
    clinic = new_clinic(stores, *DEVICES)
    short = {"AGORA_STORAGE_IDLE_TRANSACTION_SECONDS": "2"}
    async with under_load(stores, clinic, 20) as feeder, stopping_store(stores, "fence", short) as stopped:
        await until(lambda: sessions(clinic) == [], 20)
        assert state_of(stopped) == "T"
        known, written = log_size(stores, "store"), clinic.count()
        stores.start_process("store")
        await until(lambda: clinic.count() > written, 60)
        assert "storage.holder_ended" not in told(stores, "store", known)
        stopped.send_signal(signal.SIGCONT)
        await until(lambda: "storage.database_awaited" in told(stores, "stopping-fence"), 30)
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
