"""The registry's topic lags behind, or the worker stood still, while devices come and change hands."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from itertools import count

import pytest

from contracts.errors import Code
from contracts.instants import MINUTE
from contracts.observation import Observation, decode_vitals
from contracts.quarantine import decode_quarantined
from contracts.registry import DeviceRecord, Loan
from contracts.topics import LEDGER, QUARANTINE, REGISTRY_DEVICES, VITALS
from deploy.local.stack import Stack
from runtime import clock
from runtime.compacted import CompactedView
from streams.knowledge import OLDEST_SECONDS
from tests.support.normalising import ORG, World, device, message, payload, raw_partition

NAMES = [f"handed-{number}" for number in range(16)]
sequences = count(1)


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    stack.start_process("streams", wait=True)
    async with World(stack) as made:
        await made.mark(VITALS, LEDGER)
        yield made
    stack.stop_process("streams")


async def send(world: World, *names: str) -> list[object]:
    """Send a reading of each device, as its own record."""
    now = clock.now()
    return [await world.send(raw_partition(name), [message(name, payload(now, next(sequences)))]) for name in names]


async def readings(world: World, *names: str) -> list[Observation]:
    """Wait until each of the devices has a reading."""

    def of(records: list[object]) -> list[Observation]:
        found = [one for record in records for one in decode_vitals(record.value).observations]  # type: ignore[attr-defined]
        return [one for one in found if one.device in names]

    return of(await world.read(VITALS, lambda records: {one.device for one in of(records)} == set(names)))


async def test_a_confirmed_view_holds_whatever_stood_in_the_topic_before(world: World) -> None:
    view = CompactedView(world.settings, REGISTRY_DEVICES, DeviceRecord)
    await view.start()
    try:
        for number in range(20):
            await world.enrol(device(f"confirmed-{number}", "anybody"))
            await view.confirm()
            assert f"{ORG}/confirmed-{number}" in view.records
    finally:
        await view.stop()


async def test_a_device_enrolled_a_moment_before_its_first_message_is_known(world: World) -> None:
    names = [f"new-{number}" for number in range(6)]
    for name in names:
        await world.enrol(device(name, f"subject-{name}"))
        await send(world, name)
    assert len(await readings(world, *names)) == 6


async def test_a_worker_that_stood_still_while_devices_changed_hands_gives_no_reading_to_the_one_before(
    stack: Stack, world: World
) -> None:
    await world.enrol(*(device(name, "anna") for name in NAMES))
    await send(world, *NAMES)
    assert {one.subject for one in await readings(world, *NAMES)} == {"anna"}
    await world.mark(VITALS)
    stack.kill("streams", signal.SIGSTOP)
    try:
        handed_over = clock.now() - MINUTE
        loans = Loan(start=0, end=handed_over, subject="anna"), Loan(start=handed_over, subject="ben")
        await world.enrol(*(device(name, "ben").model_copy(update={"loans": loans}) for name in NAMES))
        await send(world, *NAMES)
        await asyncio.sleep(OLDEST_SECONDS)  # what it knew when it was stopped is then older than it may be
    finally:
        stack.kill("streams", signal.SIGCONT)
    assert {one.subject for one in await readings(world, *NAMES)} == {"ben"}


async def test_what_was_measured_before_a_retirement_that_overtook_it_is_taken_and_what_is_dated_later_is_not(
    stack: Stack, world: World
) -> None:
    name = "given-up"
    await world.enrol(device(name, "anna"))
    await world.mark(QUARANTINE)
    stack.kill("streams", signal.SIGSTOP)
    try:
        retired_at = clock.now()
        times = [retired_at - 2 * MINUTE, retired_at - MINUTE, retired_at + MINUTE]
        sent = [await world.send(raw_partition(name), [message(name, payload(at, next(sequences)))]) for at in times]
        loans = (Loan(start=0, end=retired_at, subject="anna"),)
        await world.enrol(device(name, "anna").model_copy(update={"loans": loans, "retired": True, "retired_at": retired_at}))
    finally:
        stack.kill("streams", signal.SIGCONT)
    rows = await world.outcomes(sent)
    counts = [rows[one.partition, one.offset][0].devices[0] for one in sent]
    assert [(one.accepted, one.quarantined) for one in counts] == [(1, 0), (1, 0), (0, 1)]
    assert {one.effective_at for one in await readings(world, name)} == set(times[:2])
    [record] = await world.read(QUARANTINE, lambda records: len(records) >= 1)
    assert decode_quarantined(record.value).code == Code.DEVICE_RETIRED
