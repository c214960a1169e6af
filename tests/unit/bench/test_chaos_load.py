from itertools import islice

from bench.chaos import alerts, load
from bench.chaos.alerts import Arrival, Raised
from bench.chaos.load import Written, messages, people
from catalogue.registry import BY_CODE
from contracts.instants import SECOND
from simulators.messages import DueMessage, reading

START = 1_795_348_800 * SECOND
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


def test_some_share_with_nobody_and_one_withdraws() -> None:
    found = people(12)
    assert [person.subject for person in found if not person.shares_with]
    assert sum(bool(person.withdraws_from) for person in found) == 1


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
