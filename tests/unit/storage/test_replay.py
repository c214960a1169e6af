from contracts.frames import MAX_FRAME_BYTES, Coordinates, RawMessage
from contracts.ids import partition_of
from contracts.instants import HOUR
from storage.replay import FRAME_MESSAGES, frames_of, raw_coordinates


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
