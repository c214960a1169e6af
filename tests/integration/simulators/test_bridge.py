"""The fleet against the real bridge: what a device was told is durable stands in Kafka, byte for byte."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from contracts.down import correlation_text
from contracts.frames import decode_raw
from contracts.instants import MINUTE
from contracts.mqtt import parse_up
from contracts.topics import RAW
from deploy.local.mosquitto import password_file, password_line
from deploy.local.stack import Stack
from runtime.kafka import consumer
from runtime.settings import KafkaSettings
from simulators.connection import BrokerAddress
from simulators.device import now
from simulators.fleet import Fleet
from simulators.messages import in_batches
from simulators.misbehaviour import Misbehaviour
from simulators.patients import DeviceCredential, cast, devices_for
from simulators.replay import choose, load
from tests.integration.simulators.conftest import until

BAD = Misbehaviour(duplicates=0.05, disorder=0.1, gaps=0.05, garbage=0.1, offline=0.01, offline_seconds=1.0, seed=3)


@pytest.fixture
async def devices(stack: Stack) -> AsyncIterator[list[DeviceCredential]]:
    """Give two recorded patients' devices accounts at the broker, which the keeper would do otherwise, and run the bridge."""
    planned = [one for patient in choose(load(), 2) for one in devices_for(patient)]
    made = [
        DeviceCredential(org="clinic", device=one.device, model=one.model, password=f"of-{one.device}", subject=one.patient)
        for one in planned
    ]
    accounts = password_file(stack.instance)
    before = accounts.read_text()
    accounts.write_text(before + "".join(password_line(one.key, one.password) for one in made))
    stack.kill("mosquitto", signal.SIGHUP)
    stack.start_process("bridge", wait=True)
    yield made
    stack.stop_process("bridge")
    accounts.write_text(before)
    stack.kill("mosquitto", signal.SIGHUP)


def settings_of(stack: Stack) -> KafkaSettings:
    settings = stack.env("operator")
    return KafkaSettings(
        bootstrap=settings["AGORA_KAFKA_BOOTSTRAP"],
        username=settings["AGORA_KAFKA_USERNAME"],
        password=settings["AGORA_KAFKA_PASSWORD"],
        security=settings["AGORA_KAFKA_SECURITY"],
        ca_file=settings.get("AGORA_KAFKA_CA_FILE", ""),
    )


async def stored(stack: Stack) -> dict[str, dict[str, set[bytes]]]:
    """Read the raw topic: for each device and correlation the payloads that came."""
    found: dict[str, dict[str, set[bytes]]] = {}
    async with consumer(settings_of(stack), None, RAW.name, auto_offset_reset="earliest") as reader:
        ends = await reader.end_offsets(list(reader.assignment()))
        for partition, end in ends.items():
            while await reader.position(partition) < end:
                for record in (await reader.getmany(partition, timeout_ms=1000)).get(partition, []):
                    for message in decode_raw(record.value or b"").messages:
                        topic = parse_up(message.topic)
                        name = message.message_id or correlation_text(message.correlation or b"")
                        payloads = found.setdefault(f"{topic.org}/{topic.device}", {}).setdefault(name, set())
                        payloads.add(message.payload)
    return found


def fleet_of(stack: Stack, devices: list[DeviceCredential]) -> Fleet:
    settings = stack.env("bridge")
    broker = BrokerAddress(settings["AGORA_MQTT_HOST"], int(settings["AGORA_MQTT_PORT"]), stack.instance.certificates / "ca.pem")
    sources = cast(choose(load(), 2), devices, now(), speed=3600)
    sources[devices[0].key] = in_batches(sources[devices[0].key], MINUTE // 60)
    return Fleet(devices, sources, broker, BAD, legacy={devices[1].key}, resend_seconds=1.0)


async def assert_all_is_kept(stack: Stack, fleet: Fleet) -> None:
    """Check that everything made has its receipt, and stands in Kafka under it with one payload."""
    counts = fleet.snapshot()
    assert counts.refused == counts.outstanding == counts.unreadable == 0
    kept = await stored(stack)
    for device, receipted in fleet.receipted().items():
        assert receipted <= set(kept.get(device, {}))
        assert all(len(kept[device][name]) == 1 for name in receipted)
    assert counts.receipted == sum(len(names) for names in fleet.receipted().values()) >= counts.made


async def test_whatever_got_a_receipt_is_in_kafka_once_per_bytes_also_when_the_bridge_is_killed(
    stack: Stack, devices: list[DeviceCredential]
) -> None:
    fleet = fleet_of(stack, devices)
    await fleet.start()
    await until(lambda: fleet.snapshot().receipted > 60)
    stack.kill("bridge")
    await asyncio.to_thread(stack.stop_process, "bridge")
    before = fleet.snapshot()
    await until(lambda: fleet.snapshot().made > before.made + 20)
    await asyncio.to_thread(stack.start_process, "bridge", wait=True)
    await until(lambda: fleet.snapshot().receipted > before.receipted + 60)
    assert await fleet.stop(drain_seconds=30)
    await assert_all_is_kept(stack, fleet)


async def test_what_the_broker_had_acknowledged_and_forgot_when_it_was_killed_comes_again(
    stack: Stack, devices: list[DeviceCredential]
) -> None:
    fleet = fleet_of(stack, devices)
    await fleet.start()
    await until(lambda: fleet.snapshot().receipted > 60)
    stack.kill("bridge", signal.SIGSTOP)
    try:
        before = fleet.snapshot()
        await until(lambda: fleet.snapshot().published > before.published + 40)  # acknowledged, and only in the broker's memory
        stack.kill("mosquitto", signal.SIGKILL)
        stack.stop_process("mosquitto")
    finally:
        stack.kill("bridge", signal.SIGCONT)
    stack.start_server("mosquitto")  # not in a thread: a server ends with the thread that started it
    await until(lambda: fleet.snapshot().receipted > before.receipted + 60, 60)
    assert await fleet.stop(drain_seconds=40)
    await assert_all_is_kept(stack, fleet)
