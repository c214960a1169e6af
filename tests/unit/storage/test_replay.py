import pytest

from contracts.errors import Stage
from contracts.frames import MAX_FRAME_BYTES, Coordinates, RawFrame, RawMessage, encode
from contracts.ids import partition_of
from contracts.instants import HOUR, to_datetime
from storage.replay import FRAME_MESSAGES, Row, frames_of, messages_of, raw_coordinates
from streams.normalise import refuse_record


def message(device: str = "d", received_at: int = 0, size: int = 10) -> RawMessage:
    return RawMessage(f"agora/v1/o/{device}/up/vitals", b"x" * size, received_at)


def test_replayed_messages_travel_in_their_devices_partition_and_in_order() -> None:
    messages = [message(f"d{number % 5}", number) for number in range(40)]
    made = frames_of(messages)
    for number in range(5):
        partition = partition_of(f"o/d{number}", 8)
        mine = [one.received_at for place, frame in made if place == partition for one in frame if f"/d{number}/" in one.topic]
        assert mine == list(range(number, 40, 5))


def test_no_frame_holds_messages_of_two_hours_since_the_ledger_counts_by_the_hour() -> None:
    made = frames_of([message(received_at=0), message(received_at=HOUR), message(received_at=1)])
    assert [[one.received_at for one in frame] for _, frame in made] == [[0, 1], [HOUR]]


def test_a_frame_stays_within_its_bounds() -> None:
    large = frames_of([message(size=MAX_FRAME_BYTES // 3) for _ in range(7)])
    assert [len(frame) for _, frame in large] == [2, 2, 2, 1]
    many = frames_of([message() for _ in range(FRAME_MESSAGES + 1)])
    assert [len(frame) for _, frame in many] == [FRAME_MESSAGES, 1]


def test_the_source_of_a_refused_reading_names_its_message_and_that_of_a_record_does_not() -> None:
    assert raw_coordinates("agora.raw.v1/3/9/2") == (Coordinates("agora.raw.v1", 3, 9), 2)
    assert raw_coordinates("agora.raw.v1/3/9") == (Coordinates("agora.raw.v1", 3, 9), None)


def test_a_message_of_a_wrong_topic_stops_no_replay_of_its_neighbours() -> None:
    astray = RawMessage("agora/v1/o/d/up/vitals/more", b"x", 0)
    made = frames_of([message(), astray, message(received_at=1)])
    assert sorted(one.topic for _, frame in made for one in frame) == [message().topic, message().topic, astray.topic]


def test_what_the_bridge_found_too_large_is_not_sent_through_again_cut_off() -> None:
    row = Row(1, "agora.quarantine.v1/0/7", 0, Stage.BRIDGE, message().topic, b'{"readings":[', to_datetime(0), None, None, None)
    assert messages_of(row, {}) == "the bridge found it too large, and may have kept its beginning only"


def test_a_record_that_was_no_frame_for_one_version_can_be_replayed_by_another() -> None:
    [kept] = refuse_record(encode(RawFrame([message(), message("e")])), 2, Coordinates("agora.raw.v1", 3, 9), 0, "1").quarantined
    row = Row(1, kept.source, kept.index, kept.stage, kept.topic, kept.payload, to_datetime(0), None, None, None)
    again = messages_of(row, {})
    assert [one.replay_of for one in again if isinstance(one, RawMessage)] == ["agora.raw.v1/3/9/0", "agora.raw.v1/3/9/1"]


@pytest.mark.parametrize("payload", [b"\xc1", b"[[[[", b"", b"\x91" * 5000, b"\x91\x93\xa1\xff\xa0\x00"])
def test_a_record_that_is_no_frame_for_this_version_either_is_left(payload: bytes) -> None:
    row = Row(1, "agora.raw.v1/3/9", -1, Stage.NORMALISE, "", payload, to_datetime(0), None, None, None)
    assert messages_of(row, {}) == "this version cannot read the record either"
