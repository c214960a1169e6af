"""What an outage's verdict must not let pass."""

from dataclasses import replace

import pytest

from bench.outage.options import Course, Flooded, Options
from bench.outage.report import OFFERED, Found
from bench.outage.verdict import Compared
from bench.watching import Watched
from storage.ledger import Closing

COMPARED = Compared(
    sent=900,
    stored=850,
    receipted_lost=0,
    careful_lost=0,
    careless_lost=50,
    flooder_lost=0,
    wrong=0,
    resent=100,
    held_back=10,
    receipt_seconds=9.0,
    receipt_p99=0.4,
    arrival_p99=0.1,
    fairness=1.0,
)
CLOSING = Closing(received=890, replayed=0, stored=850, duplicate=40, quarantined=0, in_flight=0)
COURSE = Course(dropped=70, refused=40, rate=100.0, offered=98.0)


def failing(options: Options, compared: Compared = COMPARED, course: Course = COURSE, received: int = 890) -> list[str]:
    found = Found(options, course, compared, True, CLOSING, received, Watched(), ())
    return [check.name for check in found.checks() if not check.passed]


OVERLOAD = Options("overload", seconds=10.0)


def test_what_closes_passes() -> None:
    assert failing(OVERLOAD) == []


def test_an_overload_in_which_less_was_offered_than_was_meant_is_told() -> None:
    assert failing(OVERLOAD, course=replace(COURSE, offered=80.0)) == [OFFERED]


COUNTED = "what the broker let fall, or the bridge refused, is counted"


def test_a_single_message_that_fell_uncounted_is_told() -> None:
    assert failing(OVERLOAD, course=replace(COURSE, dropped=69)) == [COUNTED]
    assert failing(OVERLOAD, course=replace(COURSE, dropped=69, rejected=1)) == []


def test_what_came_twice_explains_a_count_that_is_a_little_too_high_and_no_more() -> None:
    assert failing(OVERLOAD, course=replace(COURSE, dropped=80)) == []
    assert failing(OVERLOAD, course=replace(COURSE, dropped=81)) == [COUNTED]


def test_a_careful_device_with_less_than_half_of_what_others_have_is_told() -> None:
    assert failing(OVERLOAD, replace(COMPARED, fairness=0.4)) == ["careful devices share what fits"]


FLOOD = Options("flood", seconds=10.0)
FLOODED = Flooded(
    quota=100.0,
    burst=20_000,
    sent=100_000,
    seconds=20.0,
    told_after=5.0,
    answered_seconds=22.0,
    told={"rate-exceeded": 14},
    told_others={},
)
BESIDE_FLOOD = replace(COMPARED, sent=101_000, resent=0, held_back=0, careless_lost=0, flooder_lost=78_000)
REFUSED = Course(refused=78_000, rate=100.0, flooded=FLOODED)


def failing_flood(compared: Compared = BESIDE_FLOOD, flooded: Flooded = FLOODED) -> list[str]:
    return failing(FLOOD, compared, replace(REFUSED, flooded=flooded), received=23_000)


def test_a_flood_that_nobody_else_notices_passes() -> None:
    assert failing_flood() == []


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ({"careless_lost": 1}, "the other devices lose nothing"),
        ({"held_back": 1}, "no other device is held back"),
        ({"receipt_p99": 5.1}, "receipts of careful devices come in time"),
        ({"flooder_lost": 77_700}, "its quota is taken of it, and no more"),
        ({"flooder_lost": 79_300}, "its quota is taken of it, and no more"),
    ],
)
def test_a_flood_that_others_notice_or_that_gets_more_or_less_than_its_quota_is_told(harm: dict[str, int], told: str) -> None:
    assert failing_flood(replace(BESIDE_FLOOD, **harm)) == [told]


@pytest.mark.parametrize(
    ("flooded", "told"),
    [
        (replace(FLOODED, told_after=None, told={}), "it is told why, and nobody else is told anything"),
        (replace(FLOODED, told={"rate-exceeded": 14, "clock": 1}), "it is told why, and nobody else is told anything"),
        (replace(FLOODED, told_others={"rate-exceeded": 1}), "it is told why, and nobody else is told anything"),
        (replace(FLOODED, seconds=110.0, told_after=100.0), "one device floods"),
    ],
)
def test_a_flood_of_which_its_device_is_not_told_or_that_was_none_fails_the_run(flooded: Flooded, told: str) -> None:
    assert failing_flood(flooded=flooded) == [told]


def test_catching_up_is_measured_against_what_was_sent_and_not_what_was_asked_for() -> None:
    course = replace(COURSE, late={"store": 10.0}, catch_up_rate=299.0)
    slow = failing(Options("database", seconds=10.0, rate=0.0), course=course)
    assert slow == ["it catches up three times as fast as messages come"]
    assert failing(Options("database", seconds=10.0, rate=0.0), course=replace(course, catch_up_rate=300.0)) == []
