from datetime import UTC, datetime, timedelta

from psycopg.adapt import PyFormat, Transformer
from psycopg.types.datetime import DatetimeBinaryDumper

from contracts.observation import Observation
from storage import rows
from storage.keys import Keys


def observation(
    value: float = 70.0, sequence: int = 3, device: str = "d", device_time: int = 1_700_000_000_123_456
) -> Observation:
    return Observation(b"0" * 16, "o", device, "s", "8867-4", "", value, "/min", device_time, device_time, device_time, sequence)


def keys() -> Keys:
    known = Keys()
    known.devices[("o", "d")], known.subjects["s"], known.vitals["8867-4"], known.sites.shared[""] = 11, 12, 13, 14
    return known


def packed(one: Observation) -> bytes:
    (row,), missing = rows.pack_all([one], keys())
    assert row is not None
    assert not missing
    return row


def test_an_instant_is_packed_as_the_driver_itself_would_write_it() -> None:
    row = packed(observation())
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=1_700_000_000_123_456)
    assert Transformer().get_dumper(moment, PyFormat.BINARY).__class__.__name__.startswith("Datetime")
    assert row[6:14] == DatetimeBinaryDumper(datetime).dump(moment)


def test_rows_of_the_same_reading_agree_in_their_identity_whatever_their_value() -> None:
    one, other, later = packed(observation(70.0)), packed(observation(71.0)), packed(observation(70.0, sequence=4))
    assert one[rows.IDENTITY] == other[rows.IDENTITY] != later[rows.IDENTITY]
    assert (rows.value_of(one), rows.value_of(other)) == (70.0, 71.0)


def test_what_has_no_key_or_no_room_gives_no_row() -> None:
    made, missing = rows.pack_all([observation(), observation(device="x"), observation(sequence=2**63)], keys())
    assert [row is None for row in made] == [False, True, True]
    assert missing
    assert rows.pack_all([observation(sequence=2**63)], keys()) == ([None], False)


def test_not_a_number_equals_itself_as_it_does_in_the_database() -> None:
    nan = float("nan")
    assert rows.same_value(nan, nan)
    assert rows.same_value(0.0, -0.0)
    assert not rows.same_value(nan, 1.0)
