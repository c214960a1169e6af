import pytest

from cli import bench_commands
from deploy.local.problems import Problem


def test_the_benchmark_has_an_instance_of_its_own_whatever_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGORA_PORT_BASE", raising=False)
    for named, expected in ((None, "bench"), ("main", "main-bench"), ("my-bench", "my-bench")):
        if named is None:
            monkeypatch.delenv("AGORA_INSTANCE", raising=False)
        else:
            monkeypatch.setenv("AGORA_INSTANCE", named)
        instance = bench_commands._instance()
        assert (instance.name, instance.ports.base) == (expected, bench_commands.PORT_BASE)


def test_stages_are_named_by_commas_and_a_wrong_one_is_told_with_the_right_ones() -> None:
    assert bench_commands._stages("all") == bench_commands.STAGES
    assert bench_commands._stages("chain, store,chain") == ("chain", "store")
    with pytest.raises(Problem, match="no stage 'storage'"):
        bench_commands._stages("storage")
