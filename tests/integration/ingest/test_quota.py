"""A device that floods, on real servers: it is refused and told so, and the others do not notice."""

import time
from collections.abc import AsyncIterator

import pytest

from contracts.down import correlation_text
from contracts.errors import Code
from deploy.local.stack import Stack
from tests.support.bridging import BridgeProcess, Device, enrol, raw, until

ORG = "flooding"
RATE, BURST, FLOOD = 20, 50, 5_000


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
        for number in range(FLOOD):
            fast.send(b"flood", correlation=b"flood-%d" % number)
            if number % (FLOOD // 25) == 0:
                calm.send(b"calm", correlation=b"calm-%d" % number)
                await until(lambda: calm.receipted() >= {correlation_text(b"calm-%d" % number)}, 10)  # noqa: B023
        await until(lambda: len(fast.acknowledged) == FLOOD)  # the broker keeps nothing back for it
        seconds = time.monotonic() - began
        await until(lambda: bridge.metric("messages_confirmed_total") + refused(bridge) == FLOOD + 25)
        await until(lambda: bool(fast.errors))
        taken = [message for message in await raw(stack, ORG) if message.payload == b"flood"]
        await until(lambda: len(fast.receipted()) == len(taken))
        assert BURST <= len(taken) <= BURST + RATE * (seconds + 1)
        assert {error.code for error in fast.errors} == {Code.RATE_EXCEEDED}
        assert 1 <= len(fast.errors) <= seconds + 2
        assert (calm.errors, len(calm.receipted())) == ([], 25)

        rest = fast.errors[0].retry_after
        assert rest == 3
        again = time.monotonic() + rest
        await until(lambda: time.monotonic() >= again)
        fast.send(b"flood", correlation=b"after-the-rest")
        await until(lambda: correlation_text(b"after-the-rest") in fast.receipted())


def refused(bridge: BridgeProcess) -> float:
    """Count the messages that were not taken."""
    return bridge.metric("messages_refused_total")
