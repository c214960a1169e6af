"""A device that floods, on real servers: it is refused and told so, and the others do not notice."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from contracts.down import correlation_text
from contracts.errors import Code
from deploy.local.stack import Stack
from tests.support.bridging import BridgeProcess, Device, enrol, raw, until

ORG = "flooding"
RATE, BURST, FLOOD = 20, 50, 20_000
CALM_SECONDS = 5.0
"""So long may a calm device wait for a receipt while another floods: many times longer than where none does."""


@pytest.fixture
async def bridge(stack: Stack) -> AsyncIterator[BridgeProcess]:
    enrol(stack, [f"{ORG}/{name}" for name in ("fast-1", "calm-1")])
    async with BridgeProcess(stack, quota_messages_per_second=RATE, quota_burst_messages=BURST) as process:
        yield process


async def test_a_flooding_device_is_refused_in_words_and_the_others_go_on_getting_receipts(
    stack: Stack, bridge: BridgeProcess
) -> None:
    async with Device(stack, f"{ORG}/fast-1") as fast, Device(stack, f"{ORG}/calm-1") as calm:
        began = time.monotonic()
        flood = asyncio.create_task(_flood(fast))
        calm_sent = 0
        while not flood.done() or not calm_sent:
            calm_sent += 1
            calm.send(b"calm", correlation=b"calm-%d" % calm_sent)
            await until(lambda: len(calm.receipted()) == calm_sent, CALM_SECONDS)  # noqa: B023
        await flood
        await until(lambda: len(fast.acknowledged) == FLOOD)  # the broker keeps nothing back for it
        seconds = time.monotonic() - began
        await until(lambda: bridge.metric("messages_confirmed_total") + refused(bridge) == FLOOD + calm_sent)
        await until(lambda: bool(fast.errors))
        taken = [message for message in await raw(stack, ORG) if message.payload == b"flood"]
        await until(lambda: len(fast.receipted()) == len(taken))
        assert BURST <= len(taken) <= BURST + RATE * (seconds + 1)
        assert {error.code for error in fast.errors} == {Code.RATE_EXCEEDED}
        assert 1 <= len(fast.errors) <= seconds + 2
        assert (calm.errors, len(calm.receipted())) == ([], calm_sent)

        rest = fast.errors[0].retry_after
        assert rest == 3
        again = time.monotonic() + rest
        await until(lambda: time.monotonic() >= again)
        fast.send(b"flood", correlation=b"after-the-rest")
        await until(lambda: correlation_text(b"after-the-rest") in fast.receipted())


async def _flood(device: Device) -> None:
    """Send without a look at anybody else."""
    for number in range(FLOOD):
        device.send(b"flood", correlation=b"flood-%d" % number)
        if number % 20 == 0:
            await asyncio.sleep(0)


def refused(bridge: BridgeProcess) -> float:
    """Count the messages that were not taken."""
    return bridge.metric("messages_refused_total")
