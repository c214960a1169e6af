from dataclasses import replace

import pytest

from bench.chain import measure
from bench.chain.generator import Published
from bench.chain.platform import OURS, Platform
from bench.chain.run import Bench, Options
from bench.chain.runs import Lost
from deploy.local.stack import Stack

OPTIONS = Options(messages=1_000, devices=20, rate=1_000.0, receipts=True, rounds=1)


async def test_every_message_is_stored_and_receipted_and_a_run_that_lost_one_fails(bench_stack: Stack) -> None:
    platform = Platform(bench_stack, connections=4)
    try:
        fast, steady = await Bench(platform, OPTIONS, lambda step: None).run()
        assert fast.rows == steady.rows == 3 * OPTIONS.messages
        assert fast.receipts == steady.receipts == OPTIONS.messages
        assert {"bridge", "streams", "store", "kafka", "mosquitto", "postgres store", "generator"} <= fast.cpu.keys()
        assert 0 < steady.latency["p50"] <= steady.latency["p99"] <= steady.latency["max"]
        assert fast.memory["postgres"] > 0
        with pytest.raises(Lost, match="rows written"):
            await measure.check(platform, fast.load, Published(receipts=OPTIONS.messages), fast.rows - 1)
        with pytest.raises(Lost, match="1 messages never got their receipt"):
            await measure.check(platform, fast.load, Published(receipts=OPTIONS.messages - 1), fast.rows)
        with pytest.raises(Lost, match="rows written"):
            await measure.check(platform, replace(fast.load, messages=1), Published(), fast.rows)
    finally:
        platform.stop(*OURS[::-1])
