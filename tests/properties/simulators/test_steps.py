"""Whatever goes wrong, a device accounts for every message it had."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.messages import DueMessage, in_batches, reading
from simulators.misbehaviour import Identity, LeaveOut, Make, Misbehaviour, Repeat, steps
from simulators.outbox import Outbox

PROBABILITY = st.floats(0, 1)
MISBEHAVIOUR = st.builds(
    Misbehaviour,
    duplicates=PROBABILITY,
    disorder=PROBABILITY,
    gaps=PROBABILITY,
    garbage=PROBABILITY,
    offline=PROBABILITY,
    clock_offset_seconds=st.floats(-1e6, 1e6),
    clock_drift_ppm=st.floats(-1e4, 1e4),
    seed=st.integers(0, 2**32),
)


def said(count: int) -> list[DueMessage]:
    return [DueMessage(number * 1_000_000, (reading("8867-4", 60 + number),)) for number in range(count)]


@given(st.integers(0, 60), MISBEHAVIOUR, st.booleans())
@settings(max_examples=100, deadline=None)
def test_each_number_is_either_sent_once_or_left_out(count: int, misbehaviour: Misbehaviour, legacy: bool) -> None:
    identity = Identity(key="clinic/device-1", run=b"12345678", message_ids=legacy)
    found = list(steps(said(count), identity, misbehaviour))
    numbers = Counter(step.letter.sequence for step in found if isinstance(step, Make) and not step.letter.garbage)
    numbers.update(step.sequence for step in found if isinstance(step, LeaveOut))
    assert numbers == Counter(range(1, count + 1))
    correlations = [step.letter.correlation_id for step in found if isinstance(step, Make)]
    assert len(set(correlations)) == len(correlations)
    assert {step.letter.correlation_id for step in found if isinstance(step, Repeat)} <= set(correlations)
    assert [step.at for step in found] == sorted(step.at for step in found)


@given(st.integers(0, 60), st.integers(1, 20_000_000))
@settings(deadline=None)
def test_batches_hold_the_same_readings_in_the_same_order(count: int, every: int) -> None:
    batched = list(in_batches(said(count), every))
    readings = [item for message in batched for item in message.readings]
    assert [(item.time, item.code) for item in readings] == [(message.due, message.readings[0].code) for message in said(count)]
    assert all(item.time is not None and item.time <= message.due for message in batched for item in message.readings)


@given(st.lists(st.sampled_from(["add", "send", "acknowledge", "lose", "receipt", "settle"]), max_size=80), st.booleans())
@settings(deadline=None)
def test_an_outbox_forgets_only_what_was_settled(actions: list[str], sparing: bool) -> None:
    outbox = Outbox(capacity=5, resend_seconds=1, sparing=sparing)
    letters = [step.letter for step in steps(said(80), Identity(key="c/d", run=b"12345678")) if isinstance(step, Make)]
    kept: list[str] = []
    now = 0.0
    for action in actions:
        now += 0.4
        if action == "add" and not outbox.full:
            letter = letters.pop(0)
            outbox.add(letter)
            kept.append(letter.correlation_id)
        elif action == "send":
            outbox.take_due(now)
        elif action == "acknowledge" and kept:
            outbox.acknowledged(kept[-1])
        elif action == "lose":
            outbox.connection_lost()
        elif action == "receipt" and kept:
            outbox.receipted(kept.pop(), now)
        elif action == "settle" and kept:
            outbox.settle(kept.pop(0))
    assert outbox.correlation_ids() == frozenset(kept)
    outbox.connection_lost()
    if not sparing:
        assert [letter.correlation_id for letter, _ in outbox.take_due(now + 1_000)] == kept


@given(
    lost=st.sets(st.integers(1, 120)),
    away=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    room=st.integers(0, 30),
    takes=st.integers(1, 5),
    sparing=st.booleans(),
)
@settings(deadline=None)
def test_every_letter_gets_its_receipt_whatever_is_lost_on_the_way(
    lost: set[int], away: tuple[int, int], room: int, takes: int, sparing: bool
) -> None:
    outbox = Outbox(capacity=100, resend_seconds=1, sparing=sparing)
    letters = [step.letter for step in steps(said(40), Identity(key="c/d", run=b"12345678")) if isinstance(step, Make)]
    broker: list[str] = []
    sendings = 0
    for second in range(3_000):
        if letters:
            outbox.add(letters.pop(0))
        for letter, _ in outbox.take_due(float(second)):
            sendings += 1
            outbox.acknowledged(letter.correlation_id)
            if sendings not in lost and len(broker) <= room:
                broker.append(letter.correlation_id)
        if not away[0] <= second < sum(away):
            taken, broker = broker[:takes], broker[takes:]
            for correlation_id in taken:
                outbox.receipted(correlation_id, float(second))
        if not letters and not len(outbox):
            return
    raise AssertionError(f"{len(outbox)} letters never got their receipt")
