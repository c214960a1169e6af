"""What an app may find, and must: each check must see what is wrong, and nothing where all is well."""

from bench.chaos.judge import Findings
from bench.chaos.judge_apps import (
    Notice,
    Promise,
    Release,
    judge_app,
    judge_begun,
    judge_notice,
    judge_prefix,
    required,
)
from contracts.instants import SECOND
from contracts.registry import ConsentRecord

HEART = "8867-4"
SHOWN = ("patient", "2026-11-22T12:00:00.000000Z", ((HEART, 71.0),))


def promise(required: bool = True, effective_at: int = 0) -> Promise:
    return Promise("clinic/d", 1, "p-1", SHOWN, required, effective_at)


def consent(name: str = "", withdrawn_at: int | None = None, granted_at: int = 0, subject: str = "p-1") -> ConsentRecord:
    return ConsentRecord(
        consent=name, subject=subject, app="rhythm", vitals=frozenset({HEART}), granted_at=granted_at, withdrawn_at=withdrawn_at
    )


def judged(released: list[Release], *consents: ConsentRecord, required: bool = True, effective_at: int = 0) -> Findings:
    found = Findings()
    held = {one.consent: one for one in consents or (consent(),)}
    judge_app(found, "rhythm", {"id-1": promise(required, effective_at)}, released, held)
    return found


def test_a_record_that_no_consent_allows_is_found_and_named() -> None:
    found = judged([Release("id-1", SHOWN, 0), Release("id-2", ("stranger", *SHOWN[1:]), 0)])
    assert found.counts == {"without consent": 1}
    assert "id-2 of patient stranger" in found.examples["without consent"][0]


def test_a_record_appended_a_second_after_the_withdrawal_is_without_consent_and_one_before_is_not() -> None:
    ended = consent(withdrawn_at=10 * SECOND)
    assert not judged([Release("id-1", SHOWN, 11 * SECOND)], ended).counts
    assert judged([Release("id-1", SHOWN, 11 * SECOND + 1000)], ended).counts == {"without consent": 1}


def test_a_new_consent_allows_what_is_measured_from_then_on_only() -> None:
    ended, again = consent("first", withdrawn_at=10 * SECOND), consent("again", granted_at=20 * SECOND)
    for borne, effective_at, wrong in (("again", 20 * SECOND, 0), ("again", 20 * SECOND - 1, 1), ("first", 20 * SECOND, 1)):
        found = judged([Release("id-1", SHOWN, 21 * SECOND, borne)], ended, again, effective_at=effective_at)
        assert found.counts["without consent"] == wrong, borne


def test_a_record_that_bears_somebody_elses_consent_is_found() -> None:
    for held in (consent("other"), consent(subject="p-2")):
        assert judged([Release("id-1", SHOWN, 0)], held).counts == {"without consent": 1}


def test_what_is_measured_a_second_after_a_new_consent_must_come() -> None:
    ended, again = consent("first", withdrawn_at=10 * SECOND), consent("again", granted_at=20 * SECOND)
    for effective_at, must in ((5 * SECOND, False), (20 * SECOND, False), (21 * SECOND - 1, False), (21 * SECOND, True)):
        assert required([ended, again], effective_at) == must
    assert not required([ended, again.model_copy(update={"withdrawn_at": 30 * SECOND})], 25 * SECOND)


def test_the_last_word_to_erase_must_stand_behind_the_last_reading() -> None:
    released = [Release("id", SHOWN, 0, "first", place) for place in (1, 3)]
    for places, counts, between in (
        ((), {"not told to erase": 1}, 0),
        ((4,), {}, 0),
        ((2,), {"after the word to erase": 1}, 0),
        ((2, 4), {}, 1),
    ):
        found = Findings()
        notices = [Notice("first", 0, place) for place in places] + [Notice("other", 0, 9)]
        assert judge_notice(found, "rhythm", "first", released, notices) == between
        assert found.counts == counts, places


def test_what_was_promised_and_did_not_come_is_withheld_unless_the_consent_ended() -> None:
    assert judged([]).counts == {"withheld": 1}
    assert not judged([], required=False).counts


def test_a_repeat_is_counted_and_no_finding_and_another_content_is() -> None:
    found = Findings()
    facts = judge_app(
        found, "rhythm", {"id-1": promise()}, [Release("id-1", SHOWN, 0), Release("id-1", SHOWN, 1)], {"": consent()}
    )
    assert (facts.records, facts.repeats, facts.distinct, facts.order) == (2, 1, 1, {"clinic/d": [1]})
    assert not found.counts
    assert judged([Release("id-1", (*SHOWN[:2], ((HEART, 72.0),)), 0)]).counts == {"changed on the way to an app": 1}


def test_of_what_an_ended_consent_released_none_may_be_missing_before_the_last() -> None:
    for after, withheld in (([1, 2], 0), ([], 0), ([1, 3], 1)):
        found = Findings()
        judge_prefix(found, "rhythm", "clinic/d", [1, 2, 3, 4], after)
        assert found.counts["withheld"] == withheld, after


def test_a_device_of_which_an_ended_consent_released_nothing_is_found_where_it_had_the_time() -> None:
    calm_until = 10 * SECOND
    for arrived, released, told, withheld in (
        (8 * SECOND, 0, True, 1),
        (8 * SECOND, 1, True, 0),
        (8 * SECOND + 1, 0, False, 0),
        (None, 0, False, 0),
        (9 * SECOND, 3, True, 0),
    ):
        found = Findings()
        assert judge_begun(found, "rhythm", "clinic/d", arrived, calm_until, released) == told, arrived
        assert found.counts["withheld"] == withheld, arrived
