"""The pure checks: each of them must see what is wrong, and nothing where all is well."""

from bench.chaos.evidence import contradictions, sequence_of
from bench.chaos.judge import (
    Findings,
    Kept,
    Promise,
    Release,
    judge_app,
    judge_begun,
    judge_garbage,
    judge_prefix,
    judge_quarantine,
    judge_raw_order,
    judge_rows,
    judge_same_order,
)
from bench.chaos.load import Value
from contracts.alerts import AlertTransition, Severity, Transition
from contracts.errors import Code, Stage
from contracts.instants import SECOND
from simulators.garbage import KINDS, spoil

HEART = "8867-4"
SENT = {Value(HEART, "", 1000 * number, number): 70.0 + number for number in range(1, 6)}
SHOWN = ("patient", "2026-11-22T12:00:00.000000Z", ((HEART, 71.0),))


def rows_found(rows: list[tuple[Value, float]], quarantined: frozenset[int] = frozenset()) -> Findings:
    found = Findings()
    judge_rows(found, "clinic/d", SENT, {}, rows, quarantined)
    return found


def test_what_is_stored_as_it_was_sent_is_no_finding() -> None:
    assert not rows_found(list(SENT.items())).counts


def test_a_skipped_frame_is_lost_and_its_messages_are_named() -> None:
    found = rows_found(list(SENT.items())[:3])
    assert found.counts == {"lost": 2}
    assert sorted(found.examples["lost"]) == [f"clinic/d message {number} {HEART}" for number in (4, 5)]


def test_what_is_in_quarantine_is_not_lost_but_found_there() -> None:
    assert not rows_found(list(SENT.items())[:3], frozenset({4, 5})).counts


def test_a_row_that_stands_twice_is_doubled_also_under_another_time() -> None:
    first = next(iter(SENT))
    assert rows_found([*SENT.items(), (first, SENT[first])]).counts == {"doubled": 1}
    assert rows_found([*SENT.items(), (first._replace(time=first.time + 1), SENT[first])]).counts == {"doubled": 1}


def test_another_value_than_was_sent_is_changed() -> None:
    assert rows_found([*list(SENT.items())[:4], (list(SENT)[4], 99.0)]).counts == {"changed": 1}


def test_a_row_that_nobody_sent_is_invented() -> None:
    assert rows_found([*SENT.items(), (Value(HEART, "", 1, 99), 70.0)]).counts == {"invented": 1}


def test_what_has_no_receipt_may_be_stored_or_not_and_must_not_be_changed() -> None:
    unanswered = {Value(HEART, "", 9000, 9): 80.0}
    stored = next(iter(unanswered))
    for rows, counts in (([], {}), ([(stored, 80.0)], {}), ([(stored, 81.0)], {"changed": 1})):
        found = Findings()
        judge_rows(found, "clinic/d", SENT, unanswered, [*SENT.items(), *rows], ())
        assert found.counts == counts


def test_receipted_garbage_that_is_not_in_quarantine_is_lost() -> None:
    found = Findings()
    judge_garbage(found, "clinic/d", ("a", "b"), {"a"})
    assert found.counts == {"lost": 1}


def kept(*rows: Kept) -> Findings:
    found = Findings()
    judge_quarantine(found, rows)
    return found


def test_a_valid_message_in_quarantine_is_found_whatever_refused_it_and_garbage_there_is_not() -> None:
    assert not kept(*(Kept("clinic/d", None, "a", Stage.NORMALISE, code) for code in KINDS)).counts
    valid = Kept("clinic/d", 4, "b", Stage.NORMALISE, Code.UNASSIGNED)
    assert kept(valid).counts == {"quarantined though valid": 1}
    assert kept(valid).examples == {"quarantined though valid": ["clinic/d message 4: unassigned at normalise"]}
    for other in (
        valid._replace(code=Code.PAYLOAD_INVALID),
        valid._replace(stage=Stage.STORE, code=Code.CONFLICT),
        valid._replace(sequence=None, code=Code.INTERNAL),
        Kept("", None, "", Stage.STORE, Code.PAYLOAD_UNDECODABLE),
        Kept("", None, "", Stage.NORMALISE, Code.PAYLOAD_UNDECODABLE),
    ):
        assert kept(other).counts == {"quarantined though valid": 1}, other


def test_the_number_of_a_message_is_read_also_where_the_store_refused_a_reading_of_it_and_garbage_has_none() -> None:
    assert sequence_of(b'{"sequence":4,"code":"8867-4"}') == 4
    assert sequence_of(b'{"raw":"agora.raw.v1/0/7","observation":{"sequence":4}}') == 4
    assert all(sequence_of(spoil(kind, "2026-11-22T12:00:00.000Z")) is None for kind in KINDS)


def test_a_message_that_was_sent_once_must_not_stand_behind_a_later_one() -> None:
    for order, again, overtaken in (([1, 2, 3], (), 0), ([1, 3, 2], (), 1), ([1, 3, 2], (2,), 0), ([2, 1], (2,), 1)):
        found = Findings()
        judge_raw_order(found, "clinic/d", order, again)
        assert found.counts["overtaken"] == overtaken, order


def test_a_stage_may_leave_out_and_must_not_reorder() -> None:
    for after, overtaken in (([5, 3, 4], 0), ([5, 4], 0), ([5, 4, 3], 1), ([9, 5], 0)):
        found = Findings()
        judge_same_order(found, "clinic/d", [5, 3, 4], after, "vitals")
        assert found.counts["overtaken"] == overtaken, after


def promise(required: bool = True) -> Promise:
    return Promise("clinic/d", 1, "p-1", SHOWN, required)


def judged(released: list[Release], ended: dict[str, int] | None = None, required: bool = True) -> Findings:
    found = Findings()
    judge_app(found, "rhythm", {"id-1": promise(required)}, released, ended or {})
    return found


def test_a_record_that_no_consent_allows_is_found_and_named() -> None:
    found = judged([Release("id-1", SHOWN, 0), Release("id-2", ("stranger", *SHOWN[1:]), 0)])
    assert found.counts == {"without consent": 1}
    assert "id-2 of patient stranger" in found.examples["without consent"][0]


def test_a_record_appended_a_second_after_the_withdrawal_is_without_consent_and_one_before_is_not() -> None:
    ended = {"p-1": 10 * SECOND}
    assert not judged([Release("id-1", SHOWN, 11 * SECOND)], ended).counts
    assert judged([Release("id-1", SHOWN, 11 * SECOND + 1000)], ended).counts == {"without consent": 1}


def test_what_was_promised_and_did_not_come_is_withheld_unless_the_consent_ended() -> None:
    assert judged([]).counts == {"withheld": 1}
    assert not judged([], required=False).counts


def test_a_repeat_is_counted_and_no_finding_and_another_content_is() -> None:
    found = Findings()
    facts = judge_app(found, "rhythm", {"id-1": promise()}, [Release("id-1", SHOWN, 0), Release("id-1", SHOWN, 1)], {})
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


def test_a_transition_told_again_with_another_content_is_a_contradiction() -> None:
    first = AlertTransition("a", "clinic", "p-1", "limits/high", 1, HEART, Transition.RAISED, Severity.WARNING, 1, 1, 1, 120.0)
    other = AlertTransition("a", "clinic", "p-1", "limits/high", 1, HEART, Transition.RAISED, Severity.WARNING, 2, 1, 1, 121.0)
    assert not contradictions([first, first])
    assert len(contradictions([first, other])) == 1
