"""Several sensors of one vital on one person: each is judged for itself."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from contracts.alerts import AlertCommand, AlertTransition, Severity, Transition
from contracts.ids import observation_id
from contracts.instants import SECOND
from contracts.observation import Observation, Quality
from contracts.registry import RuleRecord
from streams.flag import MAX_STATE_BYTES
from streams.rules.limits import RuleBook
from streams.rules.state import (
    MAX_CLOSED,
    MAX_EPISODES,
    MAX_HELD,
    MAX_OPEN_PAST,
    MAX_SERIES,
    FlagState,
    OpenAlert,
    SideState,
    decode_state,
    encode_state,
)
from streams.rules.thresholds import SILENCE, judge, obey, remind
from tests.unit.streams.test_thresholds import BOOK, RULE, START, reading

AT_ONCE = RuleBook([RULE.model_copy(update={"persistence_seconds": 0})])


def seen(device: str, second: int, value: float, site: str = "", quality: int = 0) -> Observation:
    one = reading(second, value, quality)
    identifier = observation_id("clinic", device, one.vital, site, one.device_time, 0)
    return replace(one, id=identifier, device=device, site=site)


class Ward:
    """A subject with several sensors; each reading is a record."""

    def __init__(self, book: RuleBook = BOOK) -> None:
        self.state = FlagState()
        self.book = book
        self.offset = -1
        self.sent: list[AlertTransition] = []

    def take(self, *observations: Observation) -> list[Transition]:
        made: list[AlertTransition] = []
        for observation in observations:
            self.offset += 1
            made += judge(self.state, self.book, [observation], "vitals", self.offset, self.offset).transitions
            self.state = decode_state(encode_state(self.state))
        self.sent += made
        return [transition.transition for transition in made]

    def open(self) -> set[str]:
        """The series that have an open alert."""
        return {alert.series for alert in self.state.alerts.values()}


def test_a_normal_sensor_does_not_hide_another_that_is_outside() -> None:
    ward = Ward()
    both = [one for second in range(0, 120, 2) for one in (seen("a", second, 80), seen("b", second + 1, 150))]
    assert ward.take(*both) == [Transition.RAISED]
    assert ward.sent[0].onset == START + SECOND
    assert ward.open() == {"clinic/b/"}


def test_only_the_sensor_that_raised_an_alert_resolves_it() -> None:
    ward = Ward(AT_ONCE)
    assert ward.take(seen("b", 0, 150)) == [Transition.RAISED]
    assert ward.take(seen("a", 10, 80), seen("b", 20, 80, site="left"), seen("a", 30, 80)) == []
    assert ward.take(seen("b", 40, 80)) == [Transition.RESOLVED]


def test_two_sensors_at_the_same_instant_are_not_repeats_of_each_other() -> None:
    ward = Ward(AT_ONCE)
    assert ward.take(seen("a", 0, 80), seen("b", 0, 150)) == [Transition.RAISED]
    assert ward.take(seen("b", 0, 150)) == []


def test_two_sensors_that_leave_the_limits_at_once_have_an_alert_each() -> None:
    ward = Ward(AT_ONCE)
    assert ward.take(seen("a", 0, 120), seen("b", 0, 120)) == [Transition.RAISED] * 2
    assert len({one.alert for one in ward.sent}) == 2
    assert ward.take(seen("a", 10, 80)) == [Transition.RESOLVED]
    assert ward.open() == {"clinic/b/"}
    assert ward.take(seen("b", 20, 150), seen("b", 30, 80)) == [Transition.ESCALATED, Transition.RESOLVED]


def test_a_persons_word_about_one_sensors_alert_mutes_no_other() -> None:
    ward = Ward(AT_ONCE)
    ward.take(seen("a", 0, 150))
    obey(ward.state, AlertCommand(ward.sent[0].alert, "ada", Transition.RESOLVED, "nurse", START), "commands", 0)
    assert ward.take(seen("a", 10, 150)) == []
    assert ward.take(seen("b", 20, 150)) == [Transition.RAISED]


def test_an_alert_of_a_sensor_that_is_silent_for_a_day_ends_with_a_normal_reading_of_another() -> None:
    ward = Ward(AT_ONCE)
    ward.take(seen("old", 0, 150))
    day = SILENCE // SECOND
    assert ward.take(seen("new", day - 1, 80)) == []
    assert ward.take(seen("new", day + 1, 108)) == [], "within the hysteresis"
    assert ward.take(seen("new", day + 2, 80)) == [Transition.RESOLVED]
    assert ward.take(seen("new", day + 3, 80)) == []
    assert ward.take(seen("old", day + 4, 150)) == [Transition.RAISED]


def test_a_late_upload_of_one_sensor_is_judged_as_its_own_series() -> None:
    ward = Ward(BOOK)
    ward.take(seen("live", 1000, 80))
    upload = [seen("cuff", second, 150, quality=Quality.LATE) for second in (0, 20, 40)]
    assert ward.take(*upload, seen("cuff", 60, 80, quality=Quality.LATE)) == [Transition.RAISED, Transition.RESOLVED]
    assert all(one.about_past for one in ward.sent)


def test_a_device_that_names_a_new_site_each_time_neither_grows_the_state_nor_silences_another() -> None:
    ward = Ward(AT_ONCE)
    ward.take(seen("b", 0, 150))
    ward.take(*(seen("a", second, 150, site=f"s{second}") for second in range(1, 60)))
    assert len(ward.state.series) == MAX_SERIES
    assert "clinic/b/" in ward.open()
    assert len(ward.open()) == MAX_SERIES
    assert sum(one.transition is Transition.RESOLVED for one in ward.sent) == 60 - MAX_SERIES


def test_a_series_without_an_open_alert_is_forgotten_first() -> None:
    ward = Ward(AT_ONCE)
    ward.take(seen("a", 0, 150))
    ward.take(*(seen(f"calm-{number}", number, 80) for number in range(1, 30)))
    assert ward.open() == {"clinic/a/"}
    assert ward.take(seen("a", 100, 80)) == [Transition.RESOLVED]


def test_series_over_all_rules_are_bounded() -> None:
    rules = [RuleRecord(rule=f"r{number}", version=1, vital="8867-4", low=40, high=130) for number in range(100)]
    ward = Ward(RuleBook(rules))
    ward.take(*(seen(f"d{number}", number, 80) for number in range(MAX_SERIES)))
    assert sum(map(len, ward.state.series.values())) == MAX_HELD


def test_the_largest_state_is_kept() -> None:
    instant = 2**62
    word = "x" * 64
    held = {
        f"{word}/{word}/{number:064}": {
            f"{word}/high": SideState(instant, instant, f"{number:036}", True, ((instant, instant),) * MAX_EPISODES)
        }
        for number in range(MAX_HELD)
    }
    open_alerts = {
        f"{number:036}": OpenAlert(
            f"{number:036}", word, f"{word}/high", instant, word, Severity.CRITICAL, instant, instant, True, True, word * 3
        )
        for number in range(MAX_HELD + MAX_OPEN_PAST)
    }
    state = FlagState(alerts=open_alerts, closed=["x" * 36] * MAX_CLOSED, kept_at=instant, series=held)
    assert len(encode_state(state)) < MAX_STATE_BYTES


def test_a_state_stored_before_series_were_told_apart_is_taken_over_by_the_next_sensor() -> None:
    alert = ["an-alert", "clinic", "heart-rate/high", 3, "8867-4", "critical", START, 1, False, False]
    sides = {"heart-rate/low": [START, None, "", False], "heart-rate/high": [START, START, "an-alert", False]}
    ward = Ward(AT_ONCE)
    ward.state = decode_state(msgspec.msgpack.encode([sides, {"an-alert": alert}, [], {}, START]))
    assert ward.take(seen("a", 10, 150)) == []
    assert ward.take(seen("b", 20, 80)) == []
    assert ward.take(seen("a", 30, 80)) == [Transition.RESOLVED]
    assert (ward.sent[0].alert, ward.sent[0].number) == ("an-alert", 2)
    assert ward.state.unclaimed == {}


def test_what_is_reminded_of_other_sensors_moves_no_sensor_and_ends_no_alert() -> None:
    ward = Ward(AT_ONCE)
    ward.take(*(seen(f"d{number}", number, 150) for number in range(MAX_SERIES)))
    remind(ward.state, AT_ONCE, [seen("d0", 100, 150), seen("new", 110, 80)])
    assert len(ward.open()) == MAX_SERIES
    assert ward.take(seen("d0", 90, 80)) == []
    assert ward.take(seen("d1", 90, 80)) == [Transition.RESOLVED]
