from itertools import islice, pairwise, takewhile

from bench.chaos import alerts, load
from bench.chaos.alerts import Arrival, Raised
from bench.chaos.load import Written, messages, people
from bench.chaos.pace import VOLLEY_GAP, Pace
from catalogue.registry import BY_CODE
from contracts.instants import SECOND
from simulators.messages import DueMessage, reading

START = 1_795_348_800 * SECOND
MODEL = "agora-thermometer"
DEVICE, SUBJECT = "chaos-clinic/chaos-2-thermometer", "chaos-2"


def written(*values: float) -> Written:
    kept = Written()
    source = (DueMessage(START + place * SECOND, (reading("8310-5", value),)) for place, value in enumerate(values))
    list(kept.through(DEVICE, source))
    return kept


def raised(kept: Written, *sequences: int) -> set[Raised]:
    arrivals = {DEVICE: [Arrival(sequence, START + 100 * SECOND) for sequence in sequences]}
    return alerts.expected(arrivals, {DEVICE: SUBJECT}, kept)


def test_the_same_seed_sends_the_same_and_every_value_is_plausible() -> None:
    for model in load.MODELS:
        sent = list(islice(messages(4, "clinic/d", model, START, 0.2), 400))
        assert sent == list(islice(messages(4, "clinic/d", model, START, 0.2), 400))
        assert len({-(-one.due // 1000) for one in sent}) == len(sent), "each message has an instant of its own"
        kept = Written()
        list(kept.through("clinic/d", sent))
        for sequence in range(1, 401):
            for value, said in kept.values("clinic/d", sequence):
                low, high = BY_CODE[value.vital].plausible
                assert low <= said <= high


def test_some_share_with_nobody_and_those_who_withdraw_come_to_those_who_stay() -> None:
    found = people(12, 3)
    assert len(found) == 15
    assert load.STRANGER in [person.subject for person in found[:12] if not person.shares_with]
    assert not [person for person in found[:12] if person.withdraws_from]
    assert [person.withdraws_from for person in found[12:]] == ["chaos-heart", "chaos-breath", "chaos-heart"]
    for app in load.APPS:
        assert sum(app in person.shares_with for person in found[:12]) > 4


def test_in_busy_phases_devices_write_volleys_and_the_mean_rate_is_what_was_asked_for() -> None:
    pace = Pace(5, START)
    due = [
        one.due
        for one in takewhile(lambda one: one.due < START + 2000 * SECOND, messages(5, "clinic/d", MODEL, START, 0.5, pace))
    ]
    assert 0.8 * 4000 < len(due) < 1.2 * 4000
    assert len({-(-one // 1000) for one in due}) == len(due), "each message has an instant of its own"
    close = [one for one, after in pairwise(due) if after - one == VOLLEY_GAP]
    assert len(close) > 0.4 * len(due)
    busy = sum(Pace(5, START).busy(START + second * SECOND) for second in range(2000))
    assert 0.2 < busy / 2000 < 0.3


def test_once_it_is_calm_nobody_is_busy() -> None:
    pace = Pace(5, START)
    pace.calm = 4.0
    assert {(pace.stretch(START + second * SECOND), pace.volley(START + second * SECOND)) for second in range(100)} == {(4.0, 1)}


def test_what_is_kept_is_what_the_platform_should_make_of_it() -> None:
    kept = written(36.8)
    (value, said), (observation,) = kept.values(DEVICE, 1)[0], kept.observations(DEVICE, SUBJECT, 1, START)
    assert (value.vital, value.time, value.sequence, said) == ("8310-5", START, 1, 36.8)
    assert (observation.value, observation.device_time, observation.subject) == (36.8, START, SUBJECT)


def test_alerts_are_expected_from_the_order_of_arrival() -> None:
    kept = written(36.8, 39.0, 39.0, 36.8)
    rule = "limits-8310-5/high"
    assert raised(kept, 1, 2, 3, 4) == {Raised(SUBJECT, rule, START + SECOND)}
    assert raised(kept, 1, 3, 2, 4) == {Raised(SUBJECT, rule, START + 2 * SECOND)}, "the later one came first"
    assert raised(kept, 1, 4) == set()
