from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.alerts import AlertTransition, Transition
from contracts.ids import observation_id
from contracts.instants import SECOND
from contracts.observation import Observation, Quality
from contracts.registry import RuleRecord
from streams.rules.limits import RuleBook
from streams.rules.state import FlagState, decode_state, encode_state
from streams.rules.thresholds import judge

BOOK = RuleBook(
    [
        RuleRecord(
            rule="r",
            version=1,
            vital="8867-4",
            low=50,
            high=110,
            critical_low=40,
            critical_high=130,
            hysteresis=3,
            persistence_seconds=5,
        )
    ]
)


def reading(second: int, value: float, device: str = "d") -> Observation:
    at = second * SECOND
    identifier = observation_id("o", device, "8867-4", "", at, 0)
    return Observation(identifier, "o", device, "s", "8867-4", "", value, "/min", at, at, at, 0)


series = st.lists(st.tuples(st.integers(0, 200), st.floats(20, 200)), max_size=60).map(
    lambda pairs: [reading(second, value) for second, value in pairs]
)
several = st.lists(st.tuples(st.integers(0, 200), st.floats(20, 200), st.sampled_from("abc")), max_size=60).map(
    lambda triples: [reading(*triple) for triple in triples]
)


def run(readings: list[Observation], kills: frozenset[int] = frozenset()) -> list[AlertTransition]:
    """Judge one reading a record; at a kill the last three records come once more, as after a crash between state and output."""
    state = FlagState()
    sent: list[AlertTransition] = []
    for offset, observation in enumerate(readings):
        sent += judge(state, BOOK, [observation], "vitals", offset).transitions
        state = decode_state(encode_state(state))
        if offset in kills:
            for again in range(max(0, offset - 2), offset + 1):
                sent += judge(state, BOOK, [readings[again]], "vitals", again).transitions
    return sent


@given(several)
def test_each_alert_is_raised_first_and_never_changes_after_it_resolved(readings: list[Observation]) -> None:
    lives: dict[str, list[AlertTransition]] = {}
    for transition in run(readings):
        lives.setdefault(transition.alert, []).append(transition)
    for life in lives.values():
        assert life[0].transition is Transition.RAISED
        assert [transition.number for transition in life] == list(range(1, len(life) + 1))
        assert all(transition.transition is not Transition.RESOLVED for transition in life[:-1])


@given(several, st.frozensets(st.integers(0, 60)))
def test_a_crash_after_the_state_was_written_changes_no_set_of_transitions(
    readings: list[Observation], kills: frozenset[int]
) -> None:
    undisturbed = {(made.alert, made.number): made for made in run(readings)}
    assert {(made.alert, made.number): made for made in run(readings, kills)} == undisturbed


@given(st.lists(st.floats(53, 107), max_size=60))
def test_values_within_the_limits_never_raise(values: list[float]) -> None:
    assert run([reading(second, value) for second, value in enumerate(values)]) == []


@given(st.lists(st.floats(131, 200), min_size=7, max_size=60))
def test_values_that_stay_critical_raise_exactly_one_alert(values: list[float]) -> None:
    sent = run([reading(second, value) for second, value in enumerate(values)])
    assert [made.transition for made in sent] == [Transition.RAISED]


@given(several)
def test_what_a_sensor_raises_does_not_depend_on_the_others_nor_on_how_they_are_mixed(readings: list[Observation]) -> None:
    together = {(made.alert, made.number): made for made in run(readings)}
    alone = [made for device in "abc" for made in run([one for one in readings if one.device == device])]
    assert {(made.alert, made.number): made for made in alone} == together
    assert len(alone) == len(together)


@given(st.lists(st.tuples(st.integers(1, 200), st.floats(20, 200)), max_size=60, unique_by=lambda pair: pair[0]))
def test_what_was_judged_in_its_order_raises_nothing_when_all_of_it_comes_again_late(pairs: list[tuple[int, float]]) -> None:
    readings = [reading(second, value) for second, value in sorted(pairs)]
    late = [replace(one, received_at=1_000 * SECOND, quality=int(Quality.LATE)) for one in readings]
    assert run([*readings, *late]) == run(readings)
