"""An alert is raised under whoever had the device before, since its handover was entered late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from contracts import frames
from contracts.frames import RawFrame, RawMessage
from contracts.ids import device_key, partition_of
from contracts.instants import MINUTE, SECOND, to_text
from contracts.mqtt import up_topic
from contracts.topics import RAW
from deploy.local.stack import Stack
from registry import devices, loans
from registry.misplaced import NOTE
from registry.outbox import Database
from runtime import clock, kafka
from tests.support.keeping import ORG, Keeper, kafka_settings, populate, until

LOW = 78
CRITICAL = 92
"""Below it, oxygen saturation is critical by the catalogue."""


@pytest.fixture
def keeper(stack: Stack, tmp_path: Path) -> Iterator[Keeper]:
    with Keeper(stack, tmp_path / "keeper.log") as running:
        running.wait_leading()
        for process in ("store", "streams"):
            stack.start_process(process, wait=True)
        yield running
        for process in ("streams", "store"):
            stack.stop_process(process)


@asynccontextmanager
async def writer(stack: Stack) -> AsyncIterator[AIOKafkaProducer]:
    producer = kafka.producer(kafka_settings(stack))
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(producer: AIOKafkaProducer, device: str, value: float, *times: int, site: str = "") -> None:
    """Be the bridge, with one record of a device's oxygen saturation."""
    named = f',"site":"{site}"' if site else ""
    bodies = [f'{{"time":"{to_text(at)}","code":"59408-5","value":{value},"unit":"%"{named}}}'.encode() for at in times]
    frame = RawFrame([RawMessage(up_topic(ORG, device), body, at) for body, at in zip(bodies, times, strict=True)])
    partition = partition_of(device_key(ORG, device), RAW.partitions)
    await producer.send_and_wait(RAW.name, frames.encode(frame), partition=partition, headers=frames.headers(len(times)))


def alerts_of(operator: Database, subject: str) -> list[tuple[str, str]]:
    """Read a subject's alerts: state and note."""
    return operator.execute("SELECT state, note FROM alerts WHERE subject = %s ORDER BY onset", (subject,)).fetchall()


def settled(operator: Database) -> bool:
    """Tell whether every correction is known to the workers and over."""
    return operator.execute("SELECT count(*) FROM settlements WHERE done_at IS NULL").fetchone() == (0,)


async def eventually(holds: Callable[[], bool]) -> None:
    await asyncio.to_thread(until, holds, 60)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("site", ["", "left-finger"])
async def test_an_alert_of_readings_that_a_late_handover_gives_to_another_is_ended_and_told(
    stack: Stack, operator: Database, keeper: Keeper, site: str
) -> None:
    ada, bob, handed_on, her_own = (f"{name}{site and '-'}{site}" for name in ("ada", "bob", "handed-on", "her-own"))
    populate(operator, ada, bob)
    now = clock.now()
    for device in (handed_on, her_own):
        devices.enrol(operator, ORG, device, "agora-oximeter")
        loans.lend(operator, ORG, device, ada, now - 60 * MINUTE)
    handed_over = now - 4 * MINUTE
    times = [handed_over + seconds * SECOND for seconds in (20, 60, 100)]
    async with writer(stack) as producer:
        await send(producer, handed_on, LOW, *times, site=site)
        await send(producer, her_own, CRITICAL + 1, *times)
        await eventually(lambda: alerts_of(operator, ada) == [("raised", "")] * 2)
        # As it is entered half an hour late: the device came back, and went on to bob.
        loans.give_back(operator, ORG, handed_on, handed_over)
        loans.lend(operator, ORG, handed_on, bob, handed_over)
        await eventually(lambda: sorted(alerts_of(operator, ada)) == [("raised", ""), ("resolved", NOTE)])
        assert alerts_of(operator, bob) == []
        await eventually(lambda: bool(keeper.events("keeper.alerts_misplaced")))
        [told] = keeper.events("keeper.alerts_misplaced")
        assert (told["alerts"], told["critical"]) == (1, 1)
        # Her own danger, by the same device, is not silenced by that.
        loans.give_back(operator, ORG, handed_on, handed_over + 3 * MINUTE)
        loans.lend(operator, ORG, handed_on, ada, handed_over + 3 * MINUTE)
        await eventually(lambda: settled(operator))
        again = clock.now() + MINUTE
        await send(producer, handed_on, LOW, again - 50 * SECOND, again, site=site)
        await eventually(lambda: [state for state, _ in alerts_of(operator, ada)].count("raised") == 2)
