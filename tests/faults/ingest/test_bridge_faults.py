"""The bridge while Kafka hangs, while the broker restarts, and when it is killed: nothing told durable is ever missing."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterable
from functools import partial

import pytest

from contracts.down import correlation_text
from contracts.frames import RawMessage
from deploy.local.stack import Stack
from tests.support.bridging import BridgeProcess, Device, enrol, raw, until

ORG = "bridging-faults"
NAMES = ("d-1", "d-2", "d-3")


@pytest.fixture
async def devices(stack: Stack) -> AsyncIterator[list[Device]]:
    enrol(stack, [f"{ORG}/{name}" for name in NAMES])
    made = [Device(stack, f"{ORG}/{name}") for name in NAMES]
    for device in made:
        await device.__aenter__()
    yield made
    for device in made:
        await device.__aexit__(None, None, None)


def send(devices: list[Device], test: str, numbers: Iterable[int]) -> None:
    for number in numbers:
        for device in devices:
            device.send(f"{test}.{number:06}".encode(), correlation=f"{test}.{number:06}".encode())


def receipted(devices: list[Device], test: str, count: int) -> bool:
    """Tell whether each device has a receipt for each of its first messages."""
    wanted = {correlation_text(f"{test}.{number:06}".encode()) for number in range(count)}
    return all(wanted <= device.receipted() for device in devices)


def at_least(devices: list[Device], what: str, count: int) -> bool:
    """Tell whether each device has so many receipts, or acknowledgements of the broker."""
    return all(len(device.receipted() if what == "receipted" else device.acknowledged) >= count for device in devices)


def of_device(messages: list[RawMessage], name: str, test: str) -> list[bytes]:
    found = [message.payload for message in messages if message.topic.split("/")[3] == name]
    return [payload for payload in found if payload.startswith(f"{test}.".encode())]


def first_seen(payloads: list[bytes]) -> list[bytes]:
    return list(dict.fromkeys(payloads))


async def test_while_kafka_hangs_nothing_is_told_durable_and_then_all_of_it_is(stack: Stack, devices: list[Device]) -> None:
    async with BridgeProcess(stack) as bridge:
        send(devices, "hang", range(100))
        await until(lambda: receipted(devices, "hang", 100))
        stack.kill("kafka", signal.SIGSTOP)
        try:
            await asyncio.sleep(0.3)  # what was confirmed before the signal may still be on its way
            told = [len(device.receipted()) for device in devices]
            confirmed = bridge.metric("messages_confirmed_total")
            send(devices, "hang", range(100, 300))
            await until(lambda: bridge.metric("messages_waiting") == 200 * len(NAMES))
            await asyncio.sleep(14)  # longer than a request to Kafka may take
            assert bridge.running
            assert [len(device.receipted()) for device in devices] == told
            assert bridge.metric("messages_confirmed_total") == confirmed
        finally:
            stack.kill("kafka", signal.SIGCONT)
        await until(lambda: receipted(devices, "hang", 300), 40)
        messages = await raw(stack, ORG)
        for name in NAMES:
            assert of_device(messages, name, "hang") == [f"hang.{number:06}".encode() for number in range(300)]
        assert bridge.metric("failures_total") == 0


async def test_what_kafka_had_not_confirmed_comes_again_after_a_kill(stack: Stack, devices: list[Device]) -> None:
    async with BridgeProcess(stack) as bridge:
        stack.kill("kafka", signal.SIGSTOP)
        try:
            send(devices, "unconfirmed", range(200))
            await until(lambda: bridge.metric("messages_waiting") == 200 * len(NAMES))
            await until(partial(at_least, devices, "acknowledged", 200))
            await bridge.kill()
        finally:
            stack.kill("kafka", signal.SIGCONT)
        await bridge.start()
        await until(lambda: receipted(devices, "unconfirmed", 200), 40)
        messages = await raw(stack, ORG)
    for name in NAMES:
        expected = [f"unconfirmed.{number:06}".encode() for number in range(200)]
        assert first_seen(of_device(messages, name, "unconfirmed")) == expected


async def test_killed_under_load_it_loses_nothing_the_broker_had_taken(stack: Stack, devices: list[Device]) -> None:
    each = 1500
    async with BridgeProcess(stack) as bridge:
        for generation in range(3):
            already = min(len(device.receipted()) for device in devices)
            send(devices, "killed", range(generation * each, (generation + 1) * each))
            await until(partial(at_least, devices, "receipted", already + 100))
            await bridge.kill()
            await until(partial(at_least, devices, "acknowledged", (generation + 1) * each))
            sent = {correlation_text(f"killed.{number:06}".encode()) for number in range(3 * each)}
            told = {device.name: device.receipted() & sent for device in devices}
            durable = await raw(stack, ORG)
            for name, handles in told.items():
                assert handles <= {correlation_text(payload) for payload in of_device(durable, name, "killed")}
            await bridge.start()
        # Receipts of what was durable at the kill may never come (the device sends again); those of the last messages do.
        last = correlation_text(f"killed.{3 * each - 1:06}".encode())
        await until(lambda: all(last in device.receipted() for device in devices), 40)
        messages = await raw(stack, ORG)
    for name in NAMES:
        assert first_seen(of_device(messages, name, "killed")) == [f"killed.{number:06}".encode() for number in range(3 * each)]


async def test_after_a_restart_of_the_broker_it_goes_on_by_itself(stack: Stack, devices: list[Device]) -> None:
    async with BridgeProcess(stack) as bridge:
        send(devices, "broker", range(50))
        await until(lambda: receipted(devices, "broker", 50))
        stack.stop_process("mosquitto")
        stack.start_server("mosquitto")  # not in a thread: a server ends with the thread that started it
        await until(lambda: bridge.metric("sessions_connected_total") == 2)
        send(devices, "broker", range(50, 100))
        await until(lambda: receipted(devices, "broker", 100), 40)
        messages = await raw(stack, ORG)
        for name in NAMES:
            expected = [f"broker.{number:06}".encode() for number in range(100)]
            assert first_seen(of_device(messages, name, "broker")) == expected


async def test_a_kafka_that_restarts_only_delays(stack: Stack, devices: list[Device]) -> None:
    async with BridgeProcess(stack) as bridge:
        send(devices, "restart", range(50))
        await until(lambda: receipted(devices, "restart", 50))
        stack.stop_process("kafka", 30.0)
        send(devices, "restart", range(50, 150))
        stack.start_server("kafka")
        await until(lambda: receipted(devices, "restart", 150), 60)
        messages = await raw(stack, ORG)
        for name in NAMES:
            expected = [f"restart.{number:06}".encode() for number in range(150)]
            assert first_seen(of_device(messages, name, "restart")) == expected
        assert bridge.running


async def test_a_hanging_kafka_fills_the_broker_and_not_the_bridge(stack: Stack, devices: list[Device]) -> None:
    mebibyte = 1024 * 1024
    async with BridgeProcess(stack, unconfirmed_bytes=mebibyte, keepalive_seconds=2) as bridge:
        stack.kill("kafka", signal.SIGSTOP)
        try:
            body = b"x" * 50_000
            for number in range(400):
                devices[0].send(f"flood.{number:06}.".encode() + body, correlation=f"flood.{number:06}".encode())
            await until(lambda: len(devices[0].acknowledged) == 400)
            await until(lambda: bridge.metric("reading_pauses_total") == 1)
            await asyncio.sleep(5)  # longer than the broker waits for a client that shows no life
            assert bridge.metric("bytes_waiting") < 2 * mebibyte
            assert bridge.resident_mib() < 200
        finally:
            stack.kill("kafka", signal.SIGCONT)
        await until(lambda: len(devices[0].receipted()) == 400, 40)
        assert bridge.metric("sessions_lost_total") == 0
        numbers = [payload.split(b".")[1] for payload in of_device(await raw(stack, ORG), devices[0].name, "flood")]
        assert numbers == [f"{number:06}".encode() for number in range(400)]


async def test_a_producer_that_breaks_ends_the_bridge_and_acknowledges_nothing(stack: Stack, devices: list[Device]) -> None:
    forbidden = stack.settings("gateway")
    async with BridgeProcess(stack) as bridge:
        await bridge.stop()
        with bridge.environment(
            AGORA_KAFKA_USERNAME=forbidden["AGORA_KAFKA_USERNAME"], AGORA_KAFKA_PASSWORD=forbidden["AGORA_KAFKA_PASSWORD"]
        ):
            await bridge.start()
        send(devices, "forbidden", range(20))
        await until(lambda: not bridge.running)
        assert await bridge.stop() == 1
        assert [device for device in devices if device.receipts] == []
        await bridge.start()
        await until(lambda: receipted(devices, "forbidden", 20))


async def test_a_bridge_whose_producer_lost_its_sequence_numbers_ends_and_the_next_one_loses_nothing(
    stack: Stack, devices: list[Device]
) -> None:
    async with BridgeProcess(stack) as bridge:
        await bridge.stop()
        deployed, bridge.module = bridge.module, ["tests.support.broken_sequence", "bridge", "sequence.000010"]
        await bridge.start()
        send(devices, "sequence", range(10))
        await until(lambda: receipted(devices, "sequence", 10))
        send(devices, "sequence", range(10, 40))
        await until(lambda: not bridge.running)
        assert await bridge.stop() == 1
        assert any("OutOfOrderSequence" in line["reason"] for line in bridge.told("ingest.bridge_failed"))
        assert not receipted(devices, "sequence", 40)
        bridge.module = deployed
        await bridge.start()
        await until(lambda: receipted(devices, "sequence", 40))
    messages = await raw(stack, ORG)
    wanted = [f"sequence.{number:06}".encode() for number in range(40)]
    assert all(first_seen(of_device(messages, name, "sequence")) == wanted for name in NAMES)
