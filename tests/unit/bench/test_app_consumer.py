import pytest

from bench.chain import audience
from bench.chain.consumer import Ears
from bench.chain.runs import Lost


def test_a_consumer_counts_a_repeated_record_and_takes_its_latency_from_the_first() -> None:
    ears = Ears()
    ears.take("a", 1_000_000, 1_050_000)
    ears.take("b", 1_000_000, 1_250_000)
    ears.take("a", 1_000_000, 9_000_000)
    heard = ears.heard()
    assert len(ears) == 2
    assert (heard.ids, heard.repeats, heard.last) == (["a", "b"], 1, 1.25)
    assert heard.latency == {"p50": 0.05, "p95": 0.25, "p99": 0.25, "max": 0.25}


def test_a_record_too_few_and_one_without_consent_fail_a_run() -> None:
    audience.check_ids({"a", "b"}, {"a", "b"})
    with pytest.raises(Lost, match="1 records of the 2 that consents allow"):
        audience.check_ids({"a"}, {"a", "b"})
    with pytest.raises(Lost, match="1 records that no consent allows"):
        audience.check_ids({"a", "b"}, {"a"})


def test_a_failed_search_a_wrong_answer_and_no_answer_at_all_fail_a_run() -> None:
    good = {"seconds": {"latest": [0.1]}, "observations": 10, "errors": {}, "faults": {}}
    audience.check_searches(good)
    with pytest.raises(Lost, match="beside 1 searches that were answered, others failed: 2 × 429 throttled"):
        audience.check_searches(good | {"errors": {"429 throttled": 2}})
    with pytest.raises(Lost, match="answered wrongly: 1 × an Observation of another vital was answered"):
        audience.check_searches(good | {"faults": {"an Observation of another vital was answered": 1}})
    with pytest.raises(Lost, match="none of 1 searches found a reading"):
        audience.check_searches(good | {"observations": 0})
