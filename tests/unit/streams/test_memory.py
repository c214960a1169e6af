from __future__ import annotations

from contracts.errors import Code
from contracts.ids import observation_id
from contracts.instants import HOUR, MINUTE
from contracts.observation import Observation
from streams.memory import Recent, Warnings

DEVICE = "org/oximeter"


def reading(sequence: int, value: float = 70.0, device: str = "oximeter") -> Observation:
    identifier = observation_id("org", device, "8867-4", "", 0, sequence)
    return Observation(identifier, "org", device, "anna", "8867-4", "", value, "/min", 0, 0, 0, sequence)


def place(offset: int, index: int) -> int:
    return offset << 32 | index


def held(recent: Recent) -> int:
    """Count the readings of the device that are remembered."""
    known = recent._devices.get(DEVICE)
    bytes_each = 16 + 8
    return 0 if known is None else sum(len(key) // bytes_each for memory in (known.newer, known.older) for key in memory)


def test_a_message_whose_readings_another_place_brought_is_a_duplicate() -> None:
    recent = Recent(8)
    assert not recent.known(DEVICE, [reading(1), reading(2)], place(10, 0))
    assert recent.known(DEVICE, [reading(1), reading(2)], place(11, 0))
    assert recent.known(DEVICE, [reading(1), reading(2)], place(11, 1))


def test_readings_in_other_company_are_left_to_the_store() -> None:
    recent = Recent(8)
    assert not recent.known(DEVICE, [reading(1), reading(2)], place(10, 0))
    assert not recent.known(DEVICE, [reading(2)], place(11, 0))
    assert not recent.known(DEVICE, [reading(2), reading(1)], place(11, 1))


def test_the_same_place_again_is_no_duplicate_since_its_first_pass_may_be_unconfirmed() -> None:
    recent = Recent(8)
    assert not recent.known(DEVICE, [reading(1)], place(10, 0))
    assert recent.known(DEVICE, [reading(1)], place(10, 1))
    assert not recent.known(DEVICE, [reading(1)], place(10, 0))
    assert recent.known(DEVICE, [reading(1)], place(10, 1))


def test_another_value_is_no_duplicate_and_is_left_to_the_store() -> None:
    recent = Recent(8)
    assert not recent.known(DEVICE, [reading(1, 70.0)], place(10, 0))
    assert not recent.known(DEVICE, [reading(1, 71.0)], place(11, 0))


def test_a_message_with_one_new_reading_is_taken_whole() -> None:
    recent = Recent(8)
    recent.known(DEVICE, [reading(1)], place(10, 0))
    assert not recent.known(DEVICE, [reading(1), reading(2)], place(11, 0))


def test_only_the_newest_readings_of_each_device_are_remembered() -> None:
    recent = Recent(2)
    for sequence in range(4):
        recent.known(DEVICE, [reading(sequence)], place(sequence, 0))
    recent.known("org/scale", [reading(0, device="scale")], place(9, 0))
    assert not recent.known(DEVICE, [reading(0)], place(10, 0))
    assert recent.known(DEVICE, [reading(2)], place(11, 0))
    assert recent.known(DEVICE, [reading(3)], place(11, 1))
    assert recent.known("org/scale", [reading(0, device="scale")], place(12, 0))


def test_an_upload_of_many_readings_at_once_does_not_grow_the_memory_and_displaces_nothing() -> None:
    recent = Recent(8)
    recent.known(DEVICE, [reading(1)], place(1, 0))
    upload = [reading(sequence) for sequence in range(100, 5100)]
    before = held(recent)
    assert not recent.known(DEVICE, upload, place(2, 0))
    assert not recent.known(DEVICE, upload, place(3, 0))
    assert held(recent) == before
    assert recent.known(DEVICE, [reading(1)], place(4, 0))


def test_however_long_messages_are_less_than_three_times_the_readings_asked_for_are_remembered() -> None:
    for length in range(1, 12):
        recent = Recent(8)
        for start in range(0, 200, length):
            recent.known(DEVICE, [reading(sequence) for sequence in range(start, start + length)], place(start, 0))
            assert held(recent) < 3 * 8


def test_remembering_nothing_finds_no_duplicate() -> None:
    recent = Recent(0)
    assert not recent.known(DEVICE, [reading(1)], place(1, 0))
    assert not recent.known(DEVICE, [reading(1)], place(2, 0))


def test_a_warning_is_given_once_an_hour_for_each_device_and_field() -> None:
    warnings = Warnings()
    given = [
        warnings.due("org", "scale", Code.FIELD_UNKNOWN, "$.battery", now)
        for now in (0, MINUTE, HOUR - 1, HOUR, HOUR + MINUTE, 2 * HOUR)
    ]
    assert given == [True, False, False, True, False, True]
    assert warnings.due("org", "scale", Code.FIELD_UNKNOWN, "$.firmware", 0)
    assert warnings.due("org", "cuff", Code.FIELD_UNKNOWN, "$.battery", 0)


def test_the_memory_of_warnings_is_bounded() -> None:
    warnings = Warnings(2)
    for name in ("a", "b", "c"):
        warnings.due("org", name, Code.FIELD_UNKNOWN, "$.x", 0)
    assert warnings.due("org", "a", Code.FIELD_UNKNOWN, "$.x", 1)
    assert not warnings.due("org", "c", Code.FIELD_UNKNOWN, "$.x", 1)
