"""What an outage's verdict must not let pass."""

from dataclasses import replace

import pytest

from bench.outage.report import Found
from bench.outage.run import Course, Options
from bench.outage.verdict import Compared
from bench.watching import Watched
from storage.ledger import Closing

COMPARED = Compared(
    sent=900,
    stored=850,
    receipted_lost=0,
    careful_lost=0,
    careless_lost=50,
    wrong=0,
    resent=100,
    held_back=10,
    receipt_seconds=9.0,
    starved=1.0,
)
CLOSING = Closing(received=890, replayed=0, stored=850, duplicate=40, quarantined=0, in_flight=0)
COURSE = Course(dropped=70, refused=40, rate=100.0)


def failing(options: Options, compared: Compared = COMPARED, course: Course = COURSE, received: int = 890) -> list[str]:
    found = Found(options, course, compared, True, CLOSING, received, Watched(), ())
    return [check.name for check in found.checks() if not check.passed]


OVERLOAD = Options("overload", seconds=10.0)


def test_what_closes_passes() -> None:
    assert failing(OVERLOAD) == []


@pytest.mark.parametrize("course", [replace(COURSE, dropped=50), replace(COURSE, dropped=90), replace(COURSE, refused=0)])
def test_messages_that_fell_uncounted_or_were_counted_and_did_not_fall_are_told(course: Course) -> None:
    assert failing(OVERLOAD, course=course) == ["what the broker let fall, or the bridge refused, is counted"]


def test_a_careful_device_with_less_than_half_of_what_others_have_is_told() -> None:
    assert failing(OVERLOAD, replace(COMPARED, starved=0.4)) == ["a device that floods starves no other"]


def test_catching_up_is_measured_against_what_was_sent_and_not_what_was_asked_for() -> None:
    course = replace(COURSE, late={"store": 10.0}, catch_up_rate=299.0)
    slow = failing(Options("database", seconds=10.0, rate=0.0), course=course)
    assert slow == ["it catches up three times as fast as messages come"]
    assert failing(Options("database", seconds=10.0, rate=0.0), course=replace(course, catch_up_rate=300.0)) == []
