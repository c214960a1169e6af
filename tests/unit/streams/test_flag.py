from contracts.alerts import AlertTransition, Transition, decode_transition
from contracts.ids import observation_id
from contracts.instants import MINUTE, SECOND
from contracts.observation import Observation
from contracts.topics import ALERTS, FLAG_STATE
from streams.flag import MAX_STATE_BYTES, FlagDesk
from streams.outputs import Output
from streams.rules.state import decode_state

START = 1_700_000_000 * SECOND
SYSTOLIC = "8480-6"


def pressures(count: int) -> list[Observation]:
    """What a cuff uploads after a long time offline, the pressure now within the limits and now not."""
    made = []
    for number in range(count):
        at = START + number * MINUTE
        identifier = observation_id("home", "cuff", SYSTOLIC, "", at, number)
        value = 190.0 if number % 2 else 120.0
        made.append(
            Observation(identifier, "home", "cuff", "ada", SYSTOLIC, "", value, "mm[Hg]", at, at, START + count * MINUTE, number)
        )
    return made


def desk() -> FlagDesk:
    made = FlagDesk(64)
    made.take(0, 1, {})
    return made


def told(outputs: list[Output]) -> list[AlertTransition]:
    return [decode_transition(output.value) for output in outputs if output.topic == ALERTS.name]


def test_an_upload_with_thousands_of_turns_raises_and_resolves_each_and_keeps_the_state_small() -> None:
    stages = desk().vitals(pressures(3_000), 0, 0)
    made = [transition.transition for transition in told([output for stage in stages for output in stage])]
    assert made == [Transition.RAISED, Transition.RESOLVED] * 1_499 + [Transition.RAISED]
    [state] = [output for stage in stages for output in stage if output.topic == FLAG_STATE.name]
    assert len(state.value) <= MAX_STATE_BYTES


def test_transitions_too_many_to_be_kept_are_to_be_confirmed_before_the_state_that_forgets_them() -> None:
    alerts, states = desk().vitals(pressures(3_000), 0, 0)
    assert {output.topic for output in alerts} == {ALERTS.name}
    assert {output.topic for output in states} == {FLAG_STATE.name}
    state = decode_state(states[0].value)
    assert [mark.sent for mark in state.watermarks.values()] == [[]]
    assert [mark.offset for mark in state.watermarks.values()] == [0]


def test_a_usual_record_is_written_at_once_with_what_it_caused() -> None:
    [both] = desk().vitals(pressures(2), 0, 0)
    assert [output.topic for output in both] == [ALERTS.name, FLAG_STATE.name]
    state = decode_state(both[-1].value)
    assert [mark.sent for mark in state.watermarks.values()] == [[(0, told(both))]]
