import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.chain import report
from bench.chain.report_file import ReportFile
from bench.chain.runs import SEARCHING, Load, Received, Run, Searched


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
    assert len(report.tables(RUNS)) == 2
    Console(file=out, width=160).print(*report.tables(RUNS))
    assert "11,000 (10,000 to 12,000)" in out.getvalue()
    assert "100.0 · 1" in out.getvalue()
    written = json.loads(json.dumps(report.as_json(RUNS, {"messages": 1000, "rounds": 2}, {"cores": "2"}, 2, is_finished=True)))
    assert written["runs"][0]["load"]["messages"] == 1000


def test_a_long_run_tells_by_how_much_each_process_grew_and_a_short_one_does_not() -> None:
    long = run("chain at 1000/s", 1_000, 100, 1_000)
    long.by_minute = [{"store": 2**20, "bridge": 2**20}, {"store": 9 * 2**20, "bridge": 2**20}, {"store": 4 * 2**20, "bridge": 0}]
    assert report.growth([*RUNS, long]) == ["memory, chain at 1000/s, minute 1 to 3: store +3 MiB, bridge -1 MiB"]
    short = run("chain at 1000/s", 1_000, 100, 1_000)
    short.by_minute = long.by_minute[:1]
    assert report.growth([short]) == []


def test_history_and_checkpoints_are_told_where_there_were_any() -> None:
    assert report.circumstances(RUNS) == []
    old = run("chain", 10_000, 100)
    old.history, old.checkpoints, old.seconds = 1_000, 2, 400.0
    later = replace(old, history=0, checkpoints=0)
    assert report.circumstances([old]) == ["chain: 1,000 rows in the day's chunk beforehand, 2 checkpoints in 400 s"]
    assert report.circumstances([old, later]) == ["chain: 0 rows in the day's chunk beforehand, 2 checkpoints in 800 s"]


def with_app(subject: str, rate: float, searched: Searched | None = None) -> Run:
    made = run(subject, rate, 100)
    made.received = Received(1001, 1, 900.0, {"p50": 0.02, "p95": 0.03, "p99": 0.04})
    made.searched = searched
    return made


SHARED = [
    with_app("chain", 10_000),
    with_app("chain" + SEARCHING, 8_000, Searched({"latest": [0.01, 0.03], "page": []}, 20, 50.0, 0.012, 0.006)),
    with_app("chain", 10_000),
    with_app("chain" + SEARCHING, 8_000, Searched({"latest": [0.02], "page": [0.05]}, 20, 50.0, 0.012, 0.006)),
]


def test_what_the_app_saw_and_what_its_searches_took_is_shown() -> None:
    out = StringIO()
    Console(file=out, width=160).print(*report.tables(SHARED))
    shown = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.getvalue().splitlines()]
    assert ["chain", "2", "1,001", "900", "20", "30", "40", "1"] in shown
    assert ["chain + searches", "latest", "3", "20", "30", "", ""] in shown
    assert ["chain + searches", "page", "1", "50", "50", "", ""] in shown
    assert ["chain + searches", "all", "4", "20", "50", "6.0", "3.0"] in shown


def test_each_run_is_compared_with_its_like_with_searches() -> None:
    assert report.searching(SHARED) == {"chain": {"messages_per_second": 0.8, "p50": 1.0, "p99": 1.0, "cpu": 1.0}}
    assert report.searching(RUNS) == {}


def test_a_report_cut_short_holds_what_was_measured_and_says_how_many_rounds_are_complete(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    file = ReportFile(path, {"rounds": 3}, {"cores": "2"})
    file.write(RUNS[:4], 1)
    written = json.loads(path.read_text())
    assert written["rounds"] == {"complete": 1, "wanted": 3}
    assert written["finished"] is False
    assert len(written["runs"]) == 4
    file.write(RUNS, 3, is_finished=True)
    assert json.loads(path.read_text())["finished"] is True
    assert [one.name for one in tmp_path.iterdir()] == ["bench.json"]


def test_a_report_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    file = ReportFile(path, {"rounds": 3}, {"cores": "2"})
    file.write(RUNS[:1], 0)
    (tmp_path / ".bench.json.partial").mkdir()
    with pytest.raises(OSError, match="partial"):
        file.write(RUNS, 3)
    assert len(json.loads(path.read_text())["runs"]) == 1
