"""The pure checks: each of them must see what is wrong, and nothing where all is well."""

from bench.chaos.evidence import contradictions, sequence_of
from bench.chaos.judge import (
    Findings,
    Kept,
    enough_judged,
    judge_garbage,
    judge_quarantine,
    judge_raw_order,
    judge_rows,
    judge_same_order,
)
from bench.chaos.load import Value
from contracts.alerts import AlertTransition, Severity, Transition
from contracts.errors import Code, Stage
from simulators.garbage import KINDS, spoil

HEART = "8867-4"
SENT = {Value(HEART, "", 1000 * number, number): 70.0 + number for number in range(1, 6)}


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


def test_a_message_must_not_stand_behind_one_that_was_sent_after_its_last_sending() -> None:
    for order, again, overtaken, excused in (
        ([1, 2, 3], {}, 0, 0),
        ([1, 3, 2], {}, 1, 0),
        ([1, 3, 2], {2: 3}, 0, 1),
        ([1, 3, 2], {2: 2}, 1, 0),
        ([1, 3, 4, 2], {2: 3}, 1, 0),
        ([2, 1], {2: 2}, 1, 0),
        ([3, 2, 1], {1: 3, 2: 3}, 0, 2),
    ):
        found = Findings()
        assert judge_raw_order(found, "clinic/d", order, again) == excused, order
        assert found.counts["overtaken"] == overtaken, order


def test_an_order_of_which_most_is_excused_shows_nothing() -> None:
    assert enough_judged(100, 75)
    assert not enough_judged(100, 76)


def test_a_stage_may_leave_out_and_must_not_reorder() -> None:
    for after, overtaken in (([5, 3, 4], 0), ([5, 4], 0), ([5, 4, 3], 1), ([9, 5], 0)):
        found = Findings()
        judge_same_order(found, "clinic/d", [5, 3, 4], after, "vitals")
        assert found.counts["overtaken"] == overtaken, after


def test_a_transition_told_again_with_another_content_is_a_contradiction() -> None:
    first = AlertTransition("a", "clinic", "p-1", "limits/high", 1, HEART, Transition.RAISED, Severity.WARNING, 1, 1, 1, 120.0)
    other = AlertTransition("a", "clinic", "p-1", "limits/high", 1, HEART, Transition.RAISED, Severity.WARNING, 2, 1, 1, 121.0)
    assert not contradictions([first, first])
    assert len(contradictions([first, other])) == 1
