"""The demo's counters, over processes that are killed."""

from __future__ import annotations

import pytest

from cli.demo.meters import Meters


def said(started: float, readings: float, **others: float) -> str:
    lines = ["# TYPE process_start_time_seconds gauge", f"process_start_time_seconds {started}"]
    for name, value in {"readings": readings, **others}.items():
        lines += [f"# TYPE agora_{name}_total counter", f'agora_{name}_total{{outcome="stored"}} {value}']
    return "\n".join(lines) + "\n"


def test_what_was_counted_before_the_first_look_is_left_out() -> None:
    meters = Meters()
    meters.take("store", said(1.0, 100.0))
    meters.take("store", said(1.0, 130.0))
    assert meters.total("agora_readings_total", outcome="stored") == pytest.approx(30.0)


@pytest.mark.parametrize("after", [0.0, 30.0, 500.0])
def test_a_killed_process_goes_on_counting_whether_or_not_it_has_caught_up_since(after: float) -> None:
    meters = Meters()
    for started, readings in ((1.0, 0.0), (1.0, 130.0), (2.0, after)):
        meters.take("store", said(started, readings))
    assert meters.total("agora_readings_total") == pytest.approx(130.0 + after)


def test_a_counter_that_a_new_process_has_not_touched_yet_keeps_its_value() -> None:
    meters = Meters()
    for started, others in ((1.0, {}), (1.0, {"refused": 4.0}), (2.0, {})):
        meters.take("store", said(started, 0.0, **others))
    assert meters.total("agora_refused_total") == pytest.approx(4.0)


def test_the_same_counter_of_two_processes_is_added_up() -> None:
    meters = Meters()
    for process in ("store", "router"):
        meters.take(process, said(1.0, 0.0))
        meters.take(process, said(1.0, 5.0))
    assert meters.by("agora_readings_total", "outcome") == {"stored": 10.0}
