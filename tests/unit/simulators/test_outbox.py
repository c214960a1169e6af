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
    assert sequences(outbox.take_due(5.0)) == [1]


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
