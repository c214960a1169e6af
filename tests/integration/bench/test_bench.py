from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from bench.chain import measure
from bench.chain.generator import Published
from bench.chain.platform import OURS, Platform
from bench.chain.run import WARM_MESSAGES, Bench, Options
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


DAYS = "SELECT (device_time AT TIME ZONE 'UTC')::date AS day, count(*), max(device_time) FROM observations GROUP BY 1 ORDER BY 1"


async def test_rows_of_today_lie_where_a_run_writes_and_are_told_apart_from_its_own(bench_stack: Stack) -> None:
    platform = Platform(bench_stack, connections=4)
    options = replace(OPTIONS, rate=0.0, rows=2_500, rows_per_day=1_000)
    try:
        with psycopg.connect(platform.conninfo, autocommit=True) as connection:
            before = {day: count for day, count, _ in connection.execute(DAYS)}
            begun = datetime.now(UTC)
            (run,) = await Bench(platform, options, lambda step: None).run()
            *earlier, (day, today, newest) = connection.execute(DAYS).fetchall()
        assert run.rows == 3 * options.messages, "the check of a run counts no row of before"
        assert [count for _, count, _ in earlier] == [500, 1_000]
        assert today - before.get(day, 0) - run.rows - warmed_up(options) == run.history == 1_000
        assert newest > begun
    finally:
        platform.stop(*OURS[::-1])


def warmed_up(options: Options) -> int:
    """So many rows a run writes before the one that counts."""
    return 3 * min(WARM_MESSAGES, options.messages)
