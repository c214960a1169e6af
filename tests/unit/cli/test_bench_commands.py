import pytest

from cli import bench_commands
from deploy.local.problems import Problem


def test_stages_are_named_by_commas_and_a_wrong_one_is_told_with_the_right_ones() -> None:
    assert bench_commands._stages("all") == bench_commands.STAGES
    assert bench_commands._stages("chain, store,chain") == ("chain", "store")
    with pytest.raises(Problem, match="no stage 'storage'"):
        bench_commands._stages("storage")


def test_searches_without_an_app_are_refused_before_anything_starts() -> None:
    with pytest.raises(Problem, match="no app that could search"):
        bench_commands.bench(searches=10.0)
    with pytest.raises(Problem, match="no app that could search"):
        bench_commands.bench(searches=10.0, sharing=True, stages="store")


def test_more_than_the_broker_holds_is_refused_where_nobody_takes_it_meanwhile() -> None:
    with pytest.raises(Problem, match="does not hold 2,000,000"):
        bench_commands.bench(messages=2_000_000, stages="bridge")
    with pytest.raises(Problem, match="does not hold 2,000,000"):
        bench_commands.bench(messages=2_000_000, against="telegraf")
