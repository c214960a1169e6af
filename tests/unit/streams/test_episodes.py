"""Times outside the limits that are over: what belongs to them and comes again, late, raises nothing."""

from __future__ import annotations

from contracts.alerts import Transition
from contracts.instants import SECOND
from contracts.observation import Quality
from streams.rules.limits import RuleBook
from streams.rules.state import MAX_EPISODES
from streams.rules.thresholds import MAX_GAP
from tests.unit.streams.test_thresholds import RULE, Patient

LATE = int(Quality.LATE)


def test_an_episode_that_was_judged_raises_nothing_when_it_comes_again_late() -> None:
    patient = Patient()
    episode = [(second, 150.0) for second in range(0, 60, 10)]
    for second, value in [*episode, (70, 80.0), (80, 80.0)]:
        patient.measure(second, value)
    assert [patient.measure(second, value, LATE) for second, value in [*episode, (70, 80.0)]] == [[]] * 7
    assert patient.measure(75, 150, LATE) == [Transition.RAISED], "this one was never judged"
    assert patient.last[0].about_past


def test_one_too_short_for_an_alert_raises_nothing_when_it_comes_again_late_but_new_readings_of_that_time_do() -> None:
    patient = Patient()
    for second, value in ((0, 150), (20, 150), (60, 80)):
        patient.measure(second, value)
    assert patient.measure(0, 150, LATE) == []
    assert patient.measure(10, 150, LATE) == []
    assert patient.measure(40, 150, LATE) == [Transition.RAISED]


def test_one_that_a_person_ended_raises_nothing_when_it_comes_again_late() -> None:
    patient = Patient()
    patient.measure(0, 150)
    patient.measure(30, 150)
    patient.says(Transition.RESOLVED, patient.last[0].alert)
    patient.measure(60, 150)
    patient.measure(90, 80)
    assert [patient.measure(second, 150, LATE) for second in (0, 30, 60)] == [[]] * 3


def test_one_that_a_silence_ended_raises_nothing_when_it_comes_again_late() -> None:
    patient = Patient()
    patient.measure(0, 150)
    beyond = MAX_GAP // SECOND + 1
    patient.measure(beyond, 150)
    assert patient.measure(0, 150, LATE) == []
    assert patient.measure(60, 150, LATE) == [Transition.RAISED]


def test_the_newest_episodes_are_remembered_and_not_more() -> None:
    patient = Patient(RuleBook([RULE.model_copy(update={"persistence_seconds": 0})]))
    for second in range(0, 20 * (MAX_EPISODES + 40), 20):
        patient.measure(second, 150)
        patient.measure(second + 10, 80)
    newest = [20 * number for number in range(40, MAX_EPISODES + 40)]
    assert [patient.measure(second, 150, LATE) for second in newest] == [[]] * MAX_EPISODES
    assert [len(sides["heart-rate/high"].episodes) for sides in patient.state.series.values()] == [MAX_EPISODES]
