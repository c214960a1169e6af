import pytest

from bench.chain import audience
from bench.chain.platform import OURS, Platform
from bench.chain.run import Bench, Options
from bench.chain.runs import SEARCHING, Lost, Run
from bench.chain.searches import KINDS
from deploy.local.stack import Stack

OPTIONS = Options(messages=1_000, devices=5, rate=500.0, sharing=True, searches=20.0, rounds=1)


async def test_an_app_reads_its_topic_and_searches_while_messages_come_and_gets_what_consents_allow(bench_stack: Stack) -> None:
    platform = Platform(bench_stack, connections=2)
    noted: list[tuple[int, int]] = []
    try:
        runs = await Bench(platform, OPTIONS, lambda step: None, note=lambda runs, rounds: noted.append((len(runs), rounds))).run()
        assert [run.subject for run in runs] == ["chain", f"chain{SEARCHING}", "chain at 500/s", f"chain at 500/s{SEARCHING}"]
        assert noted == [(1, 0), (2, 0), (3, 0), (4, 0), (4, 1)]
        for run in runs:
            _assert_app_read_everything(run)
        assert [run.searched is None for run in runs] == [True, False, True, False]
        steady = runs[3].searched
        assert steady is not None
        assert all(steady.seconds[kind] for kind in KINDS)
        assert steady.observations > 0
        assert steady.gateway_cpu > 0
        assert steady.limit == 50
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
