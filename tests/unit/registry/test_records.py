from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.instants import from_datetime
from contracts.registry import Loan, Period, RuleRecord
from registry.records import (
    checked_model,
    checked_name,
    checked_period,
    checked_rule,
    device_record,
    overlapping,
    split_device,
)
from registry.refusal import Refused

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def rule(**limits: Any) -> RuleRecord:
    return RuleRecord.model_construct(**({"rule": "r", "vital": "8867-4"} | limits))


@pytest.mark.parametrize("name", ["", "Upper", "under_score", "a/b", "ä", "a" * 65, "a b", "a\n"])
def test_a_name_that_cannot_stand_in_a_topic_is_refused_in_words(name: str) -> None:
    with pytest.raises(Refused, match="cannot name a device"):
        checked_name(name, "a device")


def test_a_device_is_written_with_its_organisation() -> None:
    assert split_device("clinic/ox-1") == ("clinic", "ox-1")
    with pytest.raises(Refused, match="clinic/ox-1"):
        split_device("ox-1")


def test_an_unknown_model_is_refused_with_those_that_exist() -> None:
    with pytest.raises(Refused, match="agora-oximeter"):
        checked_model("agora-toaster")


def test_a_period_cannot_end_before_it_begins() -> None:
    assert checked_period(1, None) == Period(start=1)
    with pytest.raises(Refused, match="before it begins"):
        checked_period(2, 2)


@pytest.mark.parametrize(
    ("start", "end", "clashes"), [(0, 10, False), (0, 11, True), (19, None, True), (20, None, False), (12, 13, True)]
)
def test_periods_are_half_open(start: int, end: int | None, clashes: bool) -> None:
    held = Loan(subject="anna", start=10, end=20)
    assert (overlapping(Period(start=start, end=end), [held]) is not None) is clashes


def test_a_running_loan_overlaps_everything_after_its_start() -> None:
    assert overlapping(Period(start=99), [Loan(subject="anna", start=10)]) is not None


def test_a_devices_record_holds_loans_in_the_order_of_their_start() -> None:
    later, earlier = ("ben", NOW, None), ("anna", NOW - timedelta(days=1), NOW)
    record = device_record("clinic", "ox-1", "agora-oximeter", None, [later, earlier], [])
    assert [loan.subject for loan in record.loans] == ["anna", "ben"]
    assert record.loans[0].end == record.loans[1].start
    assert (record.retired, record.retired_at) == (False, None)


def test_a_retired_devices_record_says_since_when() -> None:
    record = device_record("clinic", "ox-1", "agora-oximeter", NOW, [], [])
    assert (record.retired, record.retired_at) == (True, from_datetime(NOW))


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({}, "at least one limit"),
        ({"low": 120.0, "high": 40.0}, "must rise"),
        ({"low": 40.0, "critical_low": 50.0}, "must rise"),
        ({"low": float("nan")}, "finite"),
        ({"low": 40.0, "hysteresis": -1.0}, "negative"),
        ({"low": 40.0, "high": 50.0, "hysteresis": 5.0}, "no value at which"),
        ({"vital": "0-0", "low": 1.0}, "no vital"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_in_words(limits: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        checked_rule(rule(**limits))


def test_a_rule_is_kept_under_the_vitals_canonical_code() -> None:
    assert checked_rule(rule(low=40.0, high=120.0, hysteresis=3.0)).vital == "8867-4"
