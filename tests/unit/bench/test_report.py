import json
from io import StringIO

from rich.console import Console

from bench.chain import report
from bench.chain.runs import Load, Run


def run(subject: str, rate: float, cpu: float, load_rate: float = 0.0) -> Run:
    load = Load(1000, 10, load_rate)
    latency, costs = {"p50": 0.05, "p99": 0.1}, {"store": cpu, "generator": 5.0}
    return Run(subject, load, 1000 / rate, rate, 3 * rate, latency, cpu=costs, memory={"store": 2**20})


RUNS = [
    run("chain", 12_000, 90), run("chain at 5000/s", 5_000, 120, 5_000), run("telegraf", 8_000, 150),
    run("chain", 10_000, 110), run("chain at 5000/s", 5_000, 130, 5_000), run("telegraf", 10_000, 170),
]  # fmt: skip


def test_repetitions_stand_together_and_count_by_their_medians() -> None:
    found = report.groups(RUNS)
    assert {subject: len(same) for subject, same in found.items()} == {"chain": 2, "chain at 5000/s": 2, "telegraf": 2}
    assert report.medians(found["chain"], "cpu") == {"store": 100.0, "generator": 5.0}


def test_the_comparison_leaves_out_the_generator_and_the_runs_at_a_rate() -> None:
    assert report.ratio(RUNS) == {"rate": 11_000 / 9_000, "cpu": 100 / 160}
    assert report.ratio(RUNS[:2]) == {}


def test_everything_can_be_shown_and_written() -> None:
    out = StringIO()
    Console(file=out, width=160).print(report.rates(RUNS), report.costs(RUNS))
    assert "11,000 (10,000 to 12,000)" in out.getvalue()
    assert "100.0 · 1" in out.getvalue()
    written = json.loads(json.dumps(report.as_json(RUNS, {"messages": 1000}, {"cores": "2"})))
    assert written["runs"][0]["load"]["messages"] == 1000
