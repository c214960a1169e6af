from msgspec.structs import replace

from contracts.alerts import AlertCommand, AlertTransition, Severity, Transition
from contracts.ids import observation_id
from contracts.instants import SECOND
from contracts.observation import Observation, Quality
from contracts.registry import RuleRecord
from streams.rules.limits import RuleBook
from streams.rules.state import FlagState, decode_state, encode_state
from streams.rules.thresholds import MAX_GAP, judge, obey, remind

RULE = RuleRecord(
    rule="heart-rate",
    version=3,
    vital="8867-4",
    low=50,
    high=110,
    critical_low=40,
    critical_high=130,
    hysteresis=3,
    persistence_seconds=30,
)
BOOK = RuleBook([RULE])
START = 1_700_000_000 * SECOND


def reading(second: int, value: float, quality: int = 0) -> Observation:
    at = START + second * SECOND
    return Observation(
        id=observation_id("clinic", "watch", "8867-4", "", at, 0),
        org="clinic",
        device="watch",
        subject="ada",
        vital="8867-4",
        site="",
        value=value,
        unit="/min",
        device_time=at,
        effective_at=at,
        received_at=at,
        sequence=0,
        quality=quality,
    )


class Patient:
    """A subject whose readings come one record each."""

    def __init__(self, book: RuleBook = BOOK) -> None:
        self.state = FlagState()
        self.book = book
        self.offset = -1

    def measure(self, second: int, value: float, quality: int = 0) -> list[Transition]:
        self.offset += 1
        judged = judge(self.state, self.book, [reading(second, value, quality)], "vitals", self.offset, self.offset - 8)
        made, self.kept = judged.transitions, judged.keep
        self.state = decode_state(encode_state(self.state))
        self.last = made
        return [transition.transition for transition in made]

    def says(self, action: Transition, alert: str) -> list[AlertTransition]:
        self.offset += 1
        return obey(self.state, AlertCommand(alert, "ada", action, "nurse", START, "seen"), "commands", self.offset).transitions


def test_an_alert_is_raised_only_after_the_value_stayed_outside_for_the_persistence() -> None:
    patient = Patient()
    assert patient.measure(0, 120) == []
    assert patient.measure(29, 120) == []
    assert patient.measure(30, 120) == [Transition.RAISED]
    assert patient.last[0].onset == START
    assert patient.last[0].severity is Severity.WARNING


def test_a_return_inside_the_limits_before_the_persistence_starts_the_wait_anew() -> None:
    patient = Patient()
    patient.measure(0, 120)
    patient.measure(20, 100)
    assert patient.measure(35, 120) == []
    assert patient.measure(65, 120) == [Transition.RAISED]


def test_an_alert_resolves_only_inside_the_hysteresis() -> None:
    patient = Patient()
    patient.measure(0, 120)
    patient.measure(30, 120)
    assert patient.measure(60, 109) == []
    assert patient.measure(90, 107) == [Transition.RESOLVED]


def test_a_worse_value_escalates_and_a_better_one_de_escalates() -> None:
    patient = Patient()
    patient.measure(0, 120)
    patient.measure(30, 120)
    assert patient.measure(60, 140) == [Transition.ESCALATED]
    assert patient.measure(90, 129) == []
    assert patient.measure(120, 126) == [Transition.DE_ESCALATED]
    assert patient.measure(150, 100) == [Transition.RESOLVED]
    assert patient.last[0].number == 4


def test_the_low_side_is_judged_as_the_high_side() -> None:
    patient = Patient()
    patient.measure(0, 39)
    assert patient.measure(30, 39) == [Transition.RAISED]
    assert patient.last[0].severity is Severity.CRITICAL
    assert patient.last[0].rule == "heart-rate/low"


def test_a_limit_itself_is_still_inside() -> None:
    patient = Patient()
    patient.measure(0, 110)
    assert patient.measure(60, 110) == []


def test_an_implausible_or_test_reading_never_counts() -> None:
    patient = Patient()
    for second in (0, 40, 80):
        assert patient.measure(second, 0, Quality.IMPLAUSIBLE) == []
        assert patient.measure(second + 1, 200, Quality.TEST_DATA) == []


def test_the_same_record_again_gives_the_same_transitions_and_an_older_one_none() -> None:
    patient = Patient()
    patient.measure(0, 120)
    patient.measure(30, 120)
    again = judge(patient.state, BOOK, [reading(30, 120)], "vitals", 1)
    assert (again.transitions, again.keep) == (patient.last, True)
    assert judge(patient.state, BOOK, [reading(0, 120)], "vitals", 0).transitions == []


def test_a_repeated_reading_in_a_new_record_raises_nothing() -> None:
    patient = Patient()
    patient.measure(0, 140)
    patient.measure(30, 140)
    assert patient.measure(30, 140) == []
    assert patient.measure(0, 140) == []


def test_a_late_critical_reading_raises_an_alert_about_the_past_and_leaves_the_present_alone() -> None:
    patient = Patient()
    patient.measure(1000, 80)
    assert patient.measure(500, 150, Quality.LATE) == [Transition.RAISED]
    assert patient.last[0].about_past
    assert patient.measure(500, 150, Quality.LATE) == []
    assert patient.measure(1030, 80) == []


def test_a_late_reading_beyond_the_warning_limit_only_raises_nothing() -> None:
    patient = Patient()
    patient.measure(1000, 80)
    assert patient.measure(500, 120, Quality.LATE) == []


def test_a_long_silence_does_not_prove_that_the_value_stayed_outside() -> None:
    patient = Patient()
    patient.measure(0, 120)
    beyond = MAX_GAP // SECOND + 1
    assert patient.measure(beyond, 120) == []
    assert patient.measure(beyond + 30, 120) == [Transition.RAISED]


def test_a_person_acknowledges_once() -> None:
    patient = Patient()
    patient.measure(0, 120)
    patient.measure(30, 120)
    alert = patient.last[0].alert
    [made] = patient.says(Transition.ACKNOWLEDGED, alert)
    assert (made.transition, made.by, made.note) == (Transition.ACKNOWLEDGED, "nurse", "seen")
    assert patient.says(Transition.ACKNOWLEDGED, alert) == []
    assert patient.says(Transition.ACKNOWLEDGED, "no such alert") == []


def test_an_alert_resolved_by_a_person_stays_quiet_until_the_value_was_inside_again() -> None:
    patient = Patient()
    patient.measure(0, 120)
    patient.measure(30, 120)
    assert [made.by for made in patient.says(Transition.RESOLVED, patient.last[0].alert)] == ["nurse"]
    assert patient.measure(60, 120) == []
    assert patient.measure(120, 120) == []
    assert patient.measure(180, 100) == []
    patient.measure(200, 120)
    assert patient.measure(230, 120) == [Transition.RAISED]


def test_an_alert_ended_since_its_reading_was_anothers_keeps_the_subjects_own_reading_from_nothing() -> None:
    patient = Patient()
    patient.measure(0, 120)
    patient.measure(30, 120)
    command = AlertCommand(patient.last[0].alert, "ada", Transition.RESOLVED, "keeper", START, "the loan", misplaced=True)
    patient.offset += 1
    [made] = obey(patient.state, command, "commands", patient.offset).transitions
    assert (made.transition, made.by, made.note) == (Transition.RESOLVED, "keeper", "the loan")
    assert patient.measure(40, 120) == []
    assert patient.measure(70, 120) == [Transition.RAISED]
    assert patient.last[0].onset == START + 40 * SECOND


def test_a_repeated_command_record_gives_the_same_transition() -> None:
    patient = Patient()
    patient.measure(0, 120)
    patient.measure(30, 120)
    first = patient.says(Transition.ACKNOWLEDGED, patient.last[0].alert)
    patient.offset -= 1
    assert patient.says(Transition.ACKNOWLEDGED, patient.last[0].alert) == first


def test_a_subjects_own_rule_replaces_the_general_one() -> None:
    own = RULE.model_copy(update={"rule": "ada-heart-rate", "subject": "ada", "high": 150.0, "critical_high": None})
    patient = Patient(RuleBook([RULE, own]))
    patient.measure(0, 140)
    assert patient.measure(60, 140) == []


def test_a_disabled_own_rule_silences_the_general_one() -> None:
    patient = Patient(RuleBook([RULE, RULE.model_copy(update={"subject": "ada", "enabled": False})]))
    patient.measure(0, 200)
    assert patient.measure(60, 200) == []


def test_two_rules_for_a_vital_hold_side_by_side() -> None:
    low = RuleRecord(rule="heart-low", version=1, vital="8867-4", low=40)
    high = RuleRecord(rule="heart-high", version=2, vital="8867-4", high=130)
    off = RuleRecord(rule="heart-off", version=3, vital="8867-4", high=90, enabled=False)
    patient = Patient(RuleBook([low, high, off]))
    assert patient.measure(0, 35) == [Transition.RAISED]
    assert patient.measure(60, 140) == [Transition.RESOLVED, Transition.RAISED]


def test_unanswered_alerts_about_the_past_are_bounded() -> None:
    patient = Patient()
    patient.measure(100_000, 80)
    for second in range(0, 40_000, 1000):
        patient.measure(second, 150, Quality.LATE)
    assert len(patient.state.alerts) <= 17
    assert len(encode_state(patient.state)) < 10_000


def test_every_unconfirmed_record_gives_its_transitions_again_not_only_the_last() -> None:
    patient = Patient()
    patient.measure(0, 120)
    raised = patient.measure(30, 120)
    patient.measure(60, 140)
    patient.measure(90, 139)
    again = judge(patient.state, BOOK, [reading(30, 120)], "vitals", 1).transitions
    assert [made.transition for made in again] == raised == [Transition.RAISED]


def test_transitions_of_confirmed_records_are_forgotten() -> None:
    patient = Patient()
    patient.measure(0, 120)
    patient.measure(30, 120)
    judge(patient.state, BOOK, [reading(60, 120)], "vitals", 2, floor=2)
    assert judge(patient.state, BOOK, [reading(30, 120)], "vitals", 1).transitions == []


def test_a_state_that_only_grew_older_is_kept_once_a_minute() -> None:
    patient = Patient()
    patient.measure(0, 80)
    assert patient.kept
    patient.measure(10, 80)
    assert not patient.kept
    patient.measure(61, 80)
    assert patient.kept
    patient.measure(62, 120)
    assert patient.kept


def test_a_state_that_was_not_kept_and_is_reminded_takes_an_older_reading_for_no_newer_one() -> None:
    patient = Patient(RuleBook([RULE.model_copy(update={"persistence_seconds": 0})]))
    patient.measure(0, 72)
    kept = decode_state(encode_state(patient.state))
    patient.measure(40, 72)
    assert not patient.kept
    patient.state = kept  # as after a crash
    remind(patient.state, patient.book, [reading(0, 72), reading(40, 72), reading(50, 300, int(Quality.IMPLAUSIBLE))])
    assert patient.measure(20, 150) == []
    assert patient.measure(45, 150) == [Transition.RAISED]


def ahead(second: int, value: float, seconds_ahead: int) -> Observation:
    """A reading that came at a moment of ours from a device whose clock is ahead."""
    return replace(reading(second + seconds_ahead, value, Quality.CLOCK_SUSPECT), received_at=START + second * SECOND)


def live(readings: list[Observation]) -> list[Transition]:
    state = FlagState()
    made = [judge(state, BOOK, [one], "vitals", offset).transitions for offset, one in enumerate(readings)]
    return [transition.transition for transitions in made for transition in transitions]


def test_one_reading_from_the_future_does_not_silence_those_that_follow() -> None:
    readings = [ahead(0, 80, 82_800), *(reading(second, 150) for second in (30, 60, 90))]
    assert live(readings) == [Transition.RAISED]


def test_a_value_outside_from_the_future_counts_from_its_arrival() -> None:
    readings = [ahead(0, 150, 3_600), *(reading(second, 150) for second in (10, 30))]
    assert live(readings) == [Transition.RAISED]


def test_a_device_whose_clock_is_ahead_does_not_silence_another() -> None:
    both = [one for second in range(0, 180, 60) for one in (ahead(second, 80, 300), reading(second + 10, 150))]
    assert live([one for one in both if one.value == 150]) == [Transition.RAISED]
    assert live([*both[:3], reading(80, 150), reading(110, 150)]) == [Transition.RAISED]


def test_readings_of_one_upload_from_the_future_are_judged_in_their_order() -> None:
    upload = [replace(ahead(0, value, 600 + number), received_at=START) for number, value in enumerate((150, 150, 80, 80))]
    after = [reading(second, 150) for second in (20, 50)]
    assert live([*upload, *after]) == [Transition.RAISED]


def test_with_the_platforms_clock_set_back_a_critical_reading_is_told_once_and_not_silenced() -> None:
    set_back = [ahead(second - 3_600, value, 3_600) for second, value in ((60, 80), (90, 180), (120, 180), (150, 180))]
    assert live([reading(0, 80), reading(30, 80), *set_back]) == [Transition.RAISED]
