from contracts.frames import Coordinates, RawFrame, RawMessage
from contracts.registry import Period
from registry.holes import Known, Patience, again, gaps
from registry.settlement import LAST, span_of


def test_a_hole_lies_below_a_known_record_only() -> None:
    assert gaps(0, [], 10) == ((), 0)
    assert gaps(0, [Known(0, 4)], 10) == ((), 5)
    assert gaps(0, [Known(2, 4), Known(6, 9)], 10) == ((0, 1, 5), 0)
    assert gaps(2, [Known(2, 4), Known(6, 9)], 10) == ((5,), 5)


def test_a_great_hole_is_given_in_portions() -> None:
    assert gaps(0, [Known(10**12, 10**12)], 3) == ((0, 1, 2), 0)


def test_a_record_in_flight_is_no_hole() -> None:
    patience = Patience(10)
    assert patience.ripe([(0, 7)], 100.0) == []
    assert patience.ripe([(0, 7), (1, 3)], 109.9) == []
    assert patience.ripe([(0, 7), (1, 3)], 110.0) == [(0, 7)]
    assert patience.ripe([(1, 3)], 111.0) == []
    assert patience.ripe([(0, 7)], 112.0) == [], "it had come, and is missing anew"


def test_each_message_sent_again_names_the_one_it_repeats() -> None:
    fresh = RawMessage("agora/v1/o/d/up/vitals", b"1", 5, b"c", "m")
    replay = RawMessage("agora/v1/o/d/up/vitals", b"2", 6, replay_of="agora.raw.v1/3/4/5")
    made = again(RawFrame([fresh, replay]), Coordinates("agora.raw.v1", 1, 42))
    assert made.messages[0] == RawMessage(fresh.topic, b"1", 5, b"c", "m", "agora.raw.v1/1/42/0")
    assert made.messages[1] == replay


def test_a_corrected_period_reaches_as_far_as_the_devices_clock_was_off() -> None:
    span = span_of([Period(start=100, end=200), Period(start=150, end=300)], 50)
    assert (span.start.microsecond, span.end.microsecond) == (50, 350)
    assert span_of([Period(start=100), Period(start=150, end=300)], 0).end == LAST
