from datetime import UTC, datetime, timedelta

import pytest
import typer

from cli.storage_commands import since_time
from contracts.observation import Observation, Quality
from storage.watch import HEADING, Filter, line, reading


@pytest.mark.parametrize(
    ("text", "span"), [("90s", timedelta(seconds=90)), ("2h", timedelta(hours=2)), ("7d", timedelta(days=7))]
)
def test_a_span_reaches_back_from_now(text: str, span: timedelta) -> None:
    assert abs(datetime.now(UTC) - span - since_time(text)) < timedelta(seconds=5)


def test_a_time_without_a_zone_is_utc() -> None:
    assert since_time("2026-11-22T10:00:00") == since_time("2026-11-22T10:00:00Z") == datetime(2026, 11, 22, 10, tzinfo=UTC)


def test_what_is_neither_span_nor_time_is_refused_in_words() -> None:
    with pytest.raises(typer.BadParameter, match="yesterday"):
        since_time("yesterday")


def test_a_reading_is_shown_under_its_heading_with_its_flags() -> None:
    one = Observation(
        b"0" * 16,
        "clinic",
        "watch-1",
        "patient-3",
        "8867-4",
        "wrist",
        71.5,
        "/min",
        0,
        0,
        0,
        0,
        int(Quality.LATE | Quality.SEQUENCED),
    )
    shown = line(reading(one))
    assert shown.index("clinic/watch-1") == HEADING.index("device")
    assert shown.endswith("71.5 /min  wrist late")


def test_the_filters_of_tail_go_by_device_and_subject() -> None:
    one = Observation(b"0" * 16, "clinic", "watch-1", "patient-3", "8867-4", "", 71.5, "/min", 0, 0, 0, 0)
    assert Filter("clinic/watch-1", "patient-3").fits(one)
    assert not Filter("clinic/watch-2", "").fits(one)
    assert not Filter("", "patient-4").fits(one)
