import pytest

from bench.chain import audience
from bench.chain.platform import OURS, Platform
from bench.chain.run import Bench, Options
from bench.chain.runs import SEARCHING, Lost, Run
from deploy.local.stack import Stack

OPTIONS = Options(messages=1_000, devices=5, rate=0.0, sharing=True, searches=40.0, rounds=1)


async def test_an_app_reads_its_topic_and_searches_while_messages_come_and_gets_what_consents_allow(bench_stack: Stack) -> None:
    platform = Platform(bench_stack, connections=2)
    noted: list[tuple[int, int]] = []

    def note(runs: list[Run], rounds: int) -> None:
        noted.append((len(runs), rounds))

    try:
        plain, searching = await Bench(platform, OPTIONS, lambda step: None, note=note).run()
        assert (plain.subject, searching.subject) == ("chain", f"chain{SEARCHING}")
        assert noted == [(1, 0), (2, 0), (2, 1)]
        _assert_app_read_everything(plain)
        _assert_app_read_everything(searching)
        searched = searching.searched
        assert plain.searched is None
        assert searched is not None
        assert searched.seconds["latest"]
        assert searched.observations > 0
        assert searched.gateway_cpu > 0
        assert searched.limit == 2 * OPTIONS.searches
        assert searching.cpu["app's searches"] > 0
        allowed = await audience.allowed_ids(platform, 0.0)
        with pytest.raises(Lost, match="1 records that no consent allows"):
            audience.check_ids(allowed, set(list(allowed)[1:]))
    finally:
        platform.stop("gateway", "router", *OURS[::-1])


def _assert_app_read_everything(run: Run) -> None:
    received = run.received
    assert received is not None
    assert received.records - received.repeats == OPTIONS.messages
    assert received.records_per_second > 0
    assert 0 < received.latency["p50"] <= received.latency["p95"] <= received.latency["p99"]
    assert {"app's consumer", "router", "gateway"} <= run.cpu.keys()
    assert min(run.cpu.values()) >= 0
