"""Two bridges, of which the broker gives only one the session: whatever happens to either, nothing is lost or out of order."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from contracts import down
from contracts.down import DeviceError, DownRecord, correlation_text
from contracts.errors import Code
from contracts.mqtt import PRESENCE
from contracts.topics import DOWN
from deploy.local.stack import Stack
from runtime import kafka
from tests.support.bridging import BridgeProcess, Device, enrol, raw, settings_of, until

ORG = "standing-by"
KEY = f"{ORG}/d-1"


@pytest.fixture
async def device(stack: Stack) -> AsyncIterator[Device]:
    enrol(stack, [KEY])
    async with Device(stack, KEY) as made:
        yield made


def is_active(bridge: BridgeProcess) -> bool:
    return bridge.metric("active") == 1


class Sender:
    """Sends without a pause, and again whatever has no receipt, as a device does."""

    def __init__(self, device: Device, test: str) -> None:
        self.sent: list[bytes] = []
        self._device, self._test = device, test
        self._stopped = False

    async def run(self) -> None:
        while not self._stopped:
            payload = f"{self._test}.{len(self.sent):06}".encode()
            self.sent.append(payload)
            self._device.send(payload, correlation=payload)
            await asyncio.sleep(0.01)

    def is_receipted(self, count: int) -> bool:
        known = self._device.receipted()
        return all(correlation_text(payload) in known for payload in self.sent[:count])

    def stop(self) -> None:
        self._stopped = True

    def send_again(self) -> None:
        known = self._device.receipted()
        for payload in self.sent:
            if correlation_text(payload) not in known:
                self._device.send(payload, correlation=payload)


async def test_a_frozen_bridge_is_replaced_and_stands_by_when_it_wakes(stack: Stack, device: Device) -> None:
    sender = Sender(device, "frozen")
    async with BridgeProcess(stack) as first, BridgeProcess(stack, 2, standby=True, standby_after_seconds=3) as second:
        assert is_active(first)
        assert not is_active(second)
        sending = asyncio.create_task(sender.run())
        await until(lambda: len(sender.sent) >= 100)
        first.signal(signal.SIGSTOP)
        try:
            await until(lambda: is_active(second), 30)
            seen = len(sender.sent)
            await until(lambda: correlation_text(sender.sent[-1]) in device.receipted() and len(sender.sent) > seen + 50, 30)
        finally:
            first.signal(signal.SIGCONT)
        await until(lambda: first.metric("standbys_total") == 1, 30)
        sender.stop()
        await sending
        sender.send_again()
        await until(lambda: sender.is_receipted(len(sender.sent)), 30)
        assert is_active(second)
        assert not is_active(first)
        payloads = [message.payload for message in await raw(stack, ORG) if message.payload.startswith(b"frozen.")]
    assert list(dict.fromkeys(payloads)) == sender.sent


async def test_a_killed_bridge_is_replaced_and_one_that_starts_anew_takes_the_session_back(stack: Stack, device: Device) -> None:
    async with BridgeProcess(stack) as first, BridgeProcess(stack, 2, standby=True, standby_after_seconds=3) as second:
        await first.kill()
        device.send(b"killed.000000", correlation=b"killed.000000")
        await until(lambda: correlation_text(b"killed.000000") in device.receipted(), 30)
        assert is_active(second)
        await first.start()
        await until(lambda: second.metric("standbys_total") == 2, 30)
        device.send(b"killed.000001", correlation=b"killed.000001")
        await until(lambda: correlation_text(b"killed.000001") in device.receipted(), 30)
        assert is_active(first)
        assert second.running


async def test_of_two_that_stand_by_one_takes_over_although_each_pushes_the_other_from_their_account(
    stack: Stack, device: Device
) -> None:
    # As when the active one is started anew sooner than the other could notice its silence.
    settings = {"standby": True, "standby_after_seconds": 5}
    async with (
        BridgeProcess(stack) as active,
        BridgeProcess(stack, 2, **settings) as second,
        BridgeProcess(stack, 3, **settings) as third,
    ):
        await active.stop()
        await until(lambda: is_active(second) or is_active(third), 40)
        device.send(b"pushed.000000", correlation=b"pushed.000000")
        await until(lambda: correlation_text(b"pushed.000000") in device.receipted(), 30)


async def test_a_device_cannot_beat_in_the_bridges_place(stack: Stack, device: Device) -> None:
    async with BridgeProcess(stack, 2, standby=True, standby_after_seconds=3) as second:
        refused = device.publish(PRESENCE, b"")
        await until(lambda: refused in device.acknowledged)
        assert device.acknowledged[refused] == "Not authorized"
        await until(lambda: is_active(second), 30)


async def test_only_the_active_bridge_brings_devices_what_later_stages_tell_them(stack: Stack, device: Device) -> None:
    async with BridgeProcess(stack) as first, BridgeProcess(stack, 2) as second:
        await until(lambda: first.metric("standbys_total") == 1, 30)
        assert is_active(second)
        record = DownRecord(ORG, "d-1", "errors", DeviceError(Code.UNIT_UNKNOWN, "of a test"))
        async with kafka.producer(settings_of(stack)) as producer:
            for number in range(DOWN.partitions):
                await producer.send_and_wait(DOWN.name, down.encode(record), partition=number)
        await until(lambda: len(device.errors) >= DOWN.partitions, 30)
        assert first.metric("errors_forwarded_total") == 0
