"""The platform's own reader understands what simulators say, and refuses their garbage for the reason it was made for."""

from __future__ import annotations

from itertools import islice

import pytest

from catalogue.formats import agora_json
from contracts.errors import Code, Rejected
from contracts.instants import MINUTE, SECOND
from simulators.garbage import KINDS, spoil
from simulators.messages import DueMessage, count_values, encode, in_batches
from simulators.patients import Patient
from simulators.replay import choose, load
from simulators.synthetic import make_patients
from streams.judging import judge

START = 1_800_000_000 * SECOND


def understood(payload: bytes) -> list[tuple[str, float, int, str]]:
    decoded = agora_json.decode(payload)
    assert decoded.warnings == ()
    return [
        (judge(reading).vital, judge(reading).convert(reading.value), reading.time, reading.site) for reading in decoded.readings
    ]


def check(message: DueMessage, number: int) -> None:
    assert len(understood(encode(message, sequence=number, message_id="m"))) == count_values(message)


def patients() -> list[Patient]:
    return [*choose(load(), 40), *make_patients(5)]


@pytest.mark.slow
def test_every_message_of_every_patient_is_understood() -> None:
    for patient in patients():
        for model in patient.models:
            for number, message in enumerate(islice(patient.messages(model, START, 60), 150)):
                check(message, number)


@pytest.mark.slow
def test_batches_are_understood_and_no_two_of_their_readings_share_an_identity() -> None:
    for patient in patients()[:20]:
        for model in patient.models:
            for number, message in enumerate(islice(in_batches(patient.messages(model, START, 60), 5 * MINUTE), 20)):
                check(message, number)


@pytest.mark.parametrize("kind", KINDS)
def test_garbage_is_refused_for_its_reason(kind: Code) -> None:
    with pytest.raises(Rejected) as refused:
        understood(spoil(kind, "2027-01-15T08:00:00.000Z"))
    assert refused.value.code is kind
