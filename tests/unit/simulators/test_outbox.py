"""A device's memory of what has no answer yet."""

from __future__ import annotations

from itertools import pairwise

import pytest

from simulators.misbehaviour import Letter
from simulators.outbox import RESEND_LIMIT_SECONDS, Outbox, Sendings


def letter(number: int) -> Letter:
    return Letter(f"letter-{number}".encode(), b"{}", number, 1)


def sequences(taken: list[tuple[Letter, bool]]) -> list[int | None]:
    return [one.sequence for one, _ in taken]


def filled(count: int = 3) -> Outbox:
    outbox = Outbox(capacity=10, resend_seconds=5)
    for number in range(count):
        outbox.add(letter(number))
    return outbox


def test_new_letters_are_due_at_once_oldest_first() -> None:
    assert filled().take_due(0.0) == [(letter(0), False), (letter(1), False), (letter(2), False)]


def test_a_letter_the_broker_has_not_acknowledged_is_not_sent_twice_on_one_connection() -> None:
    outbox = filled(1)
    outbox.take_due(0.0)
    assert outbox.take_due(1_000.0) == []


def test_a_letter_without_receipt_is_sent_again_after_a_growing_wait() -> None:
    outbox = filled(1)
    sent = []
    for tenth in range(6_000):
        if outbox.take_due(tenth / 10):
            sent.append(tenth / 10)
            outbox.acknowledged(letter(0).correlation_id)
    waits = [later - earlier for earlier, later in pairwise(sent)]
    assert waits[:4] == [5, 10, 20, 40]
    assert set(waits[4:]) == {RESEND_LIMIT_SECONDS}


def test_a_lost_connection_makes_due_what_the_broker_had_not_acknowledged() -> None:
    outbox = filled()
    outbox.take_due(0.0)
    outbox.acknowledged(letter(1).correlation_id)
    outbox.connection_lost()
    assert outbox.take_due(0.1) == [(letter(0), True), (letter(2), True)]
    outbox.receipted(letter(2).correlation_id, 1.0)
    assert sequences(outbox.take_due(5.0)) == [1]


def sent_and_acknowledged(outbox: Outbox, now: float) -> list[tuple[int | None, bool]]:
    taken = outbox.take_due(now)
    for one, _ in taken:
        outbox.acknowledged(one.correlation_id)
    return [(one.sequence, again) for one, again in taken]


def test_while_nothing_is_answered_only_the_oldest_letter_asks_whether_anything_is() -> None:
    outbox = filled()
    sent_and_acknowledged(outbox, 0.0)
    outbox.add(letter(3))
    assert sent_and_acknowledged(outbox, 5.0) == [(0, True), (3, False)]
    asked = [second for second in range(6, 300) for one in sent_and_acknowledged(outbox, float(second)) if one == (0, True)]
    assert asked == [15, 35, 75, 135, 195, 255]
    assert len(outbox) == 4


def test_one_that_is_not_sparing_sends_whatever_has_waited_long_enough() -> None:
    outbox = Outbox(capacity=10, resend_seconds=5, sparing=False)
    for number in range(3):
        outbox.add(letter(number))
    sent_and_acknowledged(outbox, 0.0)
    assert sent_and_acknowledged(outbox, 5.0) == [(0, True), (1, True), (2, True)]


def test_what_was_sent_before_a_letter_with_a_receipt_is_lost_and_sent_again_after_its_wait() -> None:
    outbox = filled(4)
    sent_and_acknowledged(outbox, 0.0)
    outbox.receipted(letter(2).correlation_id, 1.0)
    assert sent_and_acknowledged(outbox, 4.9) == []
    assert sent_and_acknowledged(outbox, 5.0) == [(0, True), (1, True)]  # and not 3, which may be on its way


def test_receipts_for_what_lay_in_the_broker_make_nothing_that_lies_behind_it_be_sent_again() -> None:
    outbox = filled(6)
    sent_and_acknowledged(outbox, 0.0)
    for second in (5, 15, 35, 75):  # an outage: the oldest asks
        assert sent_and_acknowledged(outbox, float(second)) == [(0, True)]
    for number in range(4):
        outbox.receipted(letter(number).correlation_id, 80.0 + number * 4)
        assert sent_and_acknowledged(outbox, 81.0 + number * 4) in ([], [(number + 1, True)])
    assert {one for one, again in sent_and_acknowledged(outbox, 94.0) if again} <= {4}


def test_when_receipts_stop_what_an_answered_question_had_overtaken_is_lost() -> None:
    outbox = filled(6)
    sent_and_acknowledged(outbox, 0.0)
    assert sent_and_acknowledged(outbox, 5.0) == [(0, True)]
    outbox.receipted(letter(0).correlation_id, 6.0)  # the broker had forgotten everything but this question
    assert sent_and_acknowledged(outbox, 6.6) == [(1, True)]  # the oldest now
    assert sent_and_acknowledged(outbox, 10.9) == []
    assert sent_and_acknowledged(outbox, 11.0) == [(2, True), (3, True), (4, True), (5, True)]


def test_a_receipt_settles_a_letter_once() -> None:
    outbox = filled()
    assert outbox.settle(letter(1).correlation_id) == letter(1)
    assert outbox.settle(letter(1).correlation_id) is None
    assert len(outbox) == 2
    assert letter(1).correlation_id not in outbox
    assert outbox.correlation_ids() == {letter(0).correlation_id, letter(2).correlation_id}


def test_a_receipt_that_overtakes_the_brokers_acknowledgement_settles_too() -> None:
    outbox = filled(1)
    outbox.take_due(0.0)
    outbox.settle(letter(0).correlation_id)
    outbox.acknowledged(letter(0).correlation_id)
    assert outbox.take_due(1_000.0) == []


def test_a_full_outbox_refuses_until_there_is_room() -> None:
    outbox = Outbox(capacity=1)
    outbox.add(letter(0))
    assert outbox.full
    with pytest.raises(OverflowError):
        outbox.add(letter(1))
    outbox.settle(letter(0).correlation_id)
    assert not outbox.full


def test_a_letter_that_comes_later_does_not_wait_for_the_earlier_ones() -> None:
    outbox = filled(1)
    outbox.take_due(0.0)
    outbox.acknowledged(letter(0).correlation_id)
    assert outbox.take_due(1.0) == []
    outbox.add(letter(1))
    assert sequences(outbox.take_due(1.1)) == [1]


def test_of_what_is_sent_again_it_is_known_how_far_the_device_had_come_by_then() -> None:
    sendings = Sendings()
    for number, again in ((1, False), (2, False), (1, True), (3, False), (2, True), (1, True), (4, False)):
        sendings.note(letter(number), again)
    assert sendings.again == {letter(1).correlation_id: 3, letter(2).correlation_id: 3}
