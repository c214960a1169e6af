from contracts.topics import ALERT_COMMANDS, VITALS
from streams.flag_states import take
from streams.rules.state import FlagState, Watermark, encode_state


def state(vitals: int, commands: int = -1) -> FlagState:
    made = FlagState(watermarks={VITALS.name: Watermark(vitals)})
    if commands >= 0:
        made.watermarks[ALERT_COMMANDS.name] = Watermark(commands)
    return made


def kept(*written: FlagState | None) -> FlagState | None:
    found: dict[str, FlagState] = {}
    for one in written:
        take(found, "ada", None if one is None else encode_state(one))
    return found.get("ada")


def test_a_state_written_late_by_a_worker_that_slept_does_not_count() -> None:
    assert kept(state(7), state(9), state(8)) == state(9)


def test_nor_one_that_knows_as_many_readings_but_not_the_last_word_of_a_person() -> None:
    assert kept(state(9, 3), state(9, 2)) == state(9, 3)
    assert kept(state(9, 3), state(9)) == state(9, 3)


def test_of_equals_the_last_counts_and_a_removed_state_is_gone() -> None:
    assert kept(state(9), state(9, 1)) == state(9, 1)
    assert kept(state(9), None) is None


def test_bytes_that_are_no_state_leave_the_one_before() -> None:
    found = {"ada": state(9)}
    take(found, "ada", b"\xc1")
    assert found == {"ada": state(9)}
