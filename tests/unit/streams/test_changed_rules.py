"""What becomes of open alerts when rules change."""

from __future__ import annotations

from contracts.alerts import Transition
from contracts.observation import Quality
from streams.rules.limits import RuleBook
from tests.unit.streams.test_thresholds import BOOK, RULE, Patient


def test_an_alert_whose_rule_is_gone_is_resolved_by_the_next_reading() -> None:
    patient = Patient()
    patient.measure(0, 120)
    patient.measure(30, 120)
    assert patient.last[0].transition is Transition.RAISED
    patient.book = RuleBook([RULE.model_copy(update={"enabled": False})])
    assert patient.measure(60, 120) == [Transition.RESOLVED]
    assert patient.measure(90, 120) == []
    patient.book = BOOK
    patient.measure(120, 120)
    assert patient.measure(150, 120) == [Transition.RAISED]


def test_an_alert_of_the_general_rule_ends_when_the_subject_gets_a_rule_of_its_own() -> None:
    patient = Patient()
    patient.measure(0, 120)
    patient.measure(30, 120)
    patient.book = RuleBook([RULE, RULE.model_copy(update={"rule": "ada-heart-rate", "subject": "ada", "high": 115.0})])
    assert patient.measure(60, 120) == [Transition.RESOLVED]
    assert patient.measure(90, 120) == [Transition.RAISED]
    assert len(patient.state.alerts) == 1


def test_a_late_reading_does_not_end_an_alert_whose_rule_is_gone() -> None:
    patient = Patient()
    patient.measure(0, 120)
    patient.measure(30, 120)
    patient.book = RuleBook([RULE.model_copy(update={"enabled": False})])
    assert patient.measure(10, 80, Quality.LATE) == []
