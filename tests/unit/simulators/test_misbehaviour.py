"""Devices that misbehave on request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.errors import Code
from contracts.instants import SECOND
from simulators.garbage import KINDS, spoil
from simulators.messages import DueMessage, reading
from simulators.misbehaviour import GoOffline, Identity, LeaveOut, Make, Misbehaviour, Repeat, Step, steps

START = 1_800_000_000 * SECOND
IDENTITY = Identity(key="clinic/device-1", run=b"run-0001", start=START)


def do(count: int = 200, identity: Identity = IDENTITY, **ways: float) -> list[Step]:
    messages = (DueMessage(START + number * SECOND, (reading("8867-4", 70),)) for number in range(count))
    return list(steps(messages, identity, Misbehaviour(**ways)))  # type: ignore[arg-type]


def made(found: list[Step]) -> list[int | None]:
    return [step.letter.sequence for step in found if isinstance(step, Make) and not step.letter.garbage]


def test_a_well_behaved_device_sends_each_message_once_in_order_on_time() -> None:
    found = do(5)
    assert made(found) == [1, 2, 3, 4, 5]
    assert [step.at for step in found] == [START + number * SECOND for number in range(5)]


def test_a_sequence_goes_on_where_it_is_told_to() -> None:
    assert made(do(3, Identity(key="clinic/device-1", run=b"run-0002", first_sequence=40, start=START))) == [40, 41, 42]


def test_a_duplicate_is_the_same_letter_after_the_first() -> None:
    found = do(duplicates=0.3)
    repeats = [(number, step) for number, step in enumerate(found) if isinstance(step, Repeat)]
    assert 30 < len(repeats) < 90
    for number, step in repeats:
        assert any(isinstance(other, Make) and other.letter is step.letter for other in found[:number])


def test_disorder_changes_the_order_and_loses_nothing() -> None:
    sequences = made(do(disorder=0.3))
    assert sequences != sorted(sequences)  # type: ignore[type-var]
    assert sorted(sequences) == list(range(1, 201))  # type: ignore[type-var]


def test_a_gap_uses_up_its_number() -> None:
    found = do(gaps=0.2)
    left_out = [step.sequence for step in found if isinstance(step, LeaveOut)]
    assert 20 < len(left_out) < 60
    assert sorted([*made(found), *left_out]) == list(range(1, 201))  # type: ignore[type-var]


def test_garbage_comes_on_top_and_takes_no_number() -> None:
    found = do(garbage=0.3)
    assert made(found) == list(range(1, 201))
    garbage = [step.letter for step in found if isinstance(step, Make) and step.letter.garbage]
    assert 30 < len(garbage) < 90
    assert {letter.sequence for letter in garbage} == {None}
    assert all(letter.receipt for letter in garbage)


def test_garbage_of_a_device_without_mqtt_5_waits_for_no_receipt() -> None:
    found = do(identity=Identity(key="clinic/device-1", run=b"run-0003", message_ids=True, start=START), garbage=0.3)
    assert {step.letter.receipt for step in found if isinstance(step, Make) and step.letter.garbage} == {False}


def test_going_offline_says_for_how_long() -> None:
    offline = [step for step in do(offline=0.1, offline_seconds=7) if isinstance(step, GoOffline)]
    assert 8 < len(offline) < 40
    assert {step.seconds for step in offline} == {7}


def test_a_drifting_clock_moves_times_and_not_the_sending() -> None:
    first, *_, last = do(clock_offset_seconds=10, clock_drift_ppm=10_000)
    assert isinstance(first, Make)
    assert isinstance(last, Make)
    assert json.loads(first.letter.payload)["time"] == "2027-01-15T08:00:10.000Z"
    assert json.loads(last.letter.payload)["time"] == "2027-01-15T08:03:30.990Z"
    assert last.at == START + 199 * SECOND


def test_no_two_letters_of_a_device_share_a_correlation() -> None:
    letters = [step.letter for step in do(garbage=0.3, disorder=0.2) if isinstance(step, Make)]
    assert len({letter.correlation_id for letter in letters}) == len(letters)
    assert max(len(letter.correlation) for letter in letters) <= 64


def test_a_message_id_is_the_correlation_in_words() -> None:
    step = do(1, Identity(key="clinic/device-1", run=b"run-0004", message_ids=True, start=START))[0]
    assert isinstance(step, Make)
    assert json.loads(step.letter.payload)["message_id"] == step.letter.correlation_id


def test_the_same_seed_misbehaves_in_the_same_places_and_devices_differ() -> None:
    ways: dict[str, Any] = {"duplicates": 0.2, "disorder": 0.2, "gaps": 0.1, "garbage": 0.2, "offline": 0.05, "seed": 4}
    other = Identity(key="clinic/device-2", run=IDENTITY.run, start=START)
    assert do(**ways) == do(**ways)
    assert do(**ways) != do(identity=other, **ways)


@pytest.mark.parametrize("wrong", [{"gaps": 1.5}, {"duplicates": -0.1}, {"offline_seconds": 0.0}])
def test_a_parameter_out_of_range_is_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Misbehaviour(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_garbage_differs_from_every_other(kind: Code) -> None:
    time = "2027-01-15T08:00:00.000Z"
    assert sum(spoil(kind, time) == spoil(other, time) for other in KINDS) == 1
