import pytest

from contracts.frames import RawMessage, decode_raw
from ingest.framing import BEAT_MESSAGES, LONGEST_BEAT, Acknowledger, Arrival, Framer, Limits

INTERVAL = 0.02


def message(number: int) -> RawMessage:
    return RawMessage("agora/v1/a/b/up/vitals", str(number).encode(), 1_000 + number)


def framer(messages: int = 3, size: int = 1000) -> Framer:
    return Framer(Limits(messages, INTERVAL, size), partitions=2)


def add(target: Framer, number: int, partition: int = 0, size: int = 100) -> None:
    target.add(partition, message(number), size, Arrival(1))


def test_the_first_message_after_a_pause_leaves_at_once() -> None:
    framing = framer()
    add(framing, 1)
    (frame,) = framing.take(now=5.0)
    assert decode_raw(frame.value()).messages == [message(1)]
    assert frame.received_at == 1_001


def test_the_next_one_waits_for_the_interval_and_takes_others_with_it() -> None:
    framing = framer()
    add(framing, 1)
    framing.settle(framing.take(now=5.0)[0])
    add(framing, 2)
    add(framing, 3)
    assert framing.take(now=5.01) == []
    assert framing.next_due() == 5.0 + INTERVAL
    assert framing.take(now=5.0 + INTERVAL)[0].messages == [message(2), message(3)]


def test_a_full_frame_does_not_wait() -> None:
    framing = framer(messages=2)
    add(framing, 1)
    framing.settle(framing.take(now=5.0)[0])
    add(framing, 2)
    add(framing, 3)
    assert framing.take(now=5.0)[0].count == 2


def test_a_partition_has_one_frame_under_way() -> None:
    framing = framer(messages=1)
    for number in range(3):
        add(framing, number)
    (first,) = framing.take(now=5.0)
    assert framing.take(now=9.0) == []
    assert framing.next_due() is None
    framing.settle(first)
    (second,) = framing.take(now=9.0)
    framing.settle(second)
    (third,) = framing.take(now=9.0)
    assert [frame.messages[0] for frame in (first, second, third)] == [message(0), message(1), message(2)]


def test_partitions_do_not_wait_for_each_other() -> None:
    framing = framer()
    add(framing, 1, partition=0)
    framing.take(now=5.0)
    add(framing, 2, partition=1)
    assert [frame.partition for frame in framing.take(now=5.0)] == [1]


def test_under_load_the_frames_of_all_partitions_leave_at_one_beat() -> None:
    framing = framer()
    add(framing, 1, partition=0)
    early = framing.take(now=5.0)
    add(framing, 2, partition=1)
    late = framing.take(now=5.015)
    for frame in (*early, *late):
        framing.settle(frame)
    add(framing, 3, partition=0)
    add(framing, 4, partition=1)
    assert framing.next_due() == 5.0 + INTERVAL
    assert [frame.partition for frame in framing.take(now=5.0 + INTERVAL)] == [0, 1]


def test_the_more_comes_the_longer_the_next_beat() -> None:
    framing = framer(messages=100_000, size=10_000_000)
    beats, now = [], 5.0
    for messages in (0, 3 * BEAT_MESSAGES, 100 * BEAT_MESSAGES, 0):
        add(framing, 0)
        framing.settle(framing.take(now)[0])
        for number in range(messages + 1):
            add(framing, number)
        due = framing.next_due()
        assert due is not None
        beats.append((due - now) / INTERVAL)
        now = due
    assert beats == pytest.approx([1.0, 1.0, 3.0, LONGEST_BEAT / INTERVAL], rel=0.05)


def test_after_a_pause_no_message_waits_however_much_came_before_it() -> None:
    framing = framer(messages=100_000, size=10_000_000)
    for number in range(100 * BEAT_MESSAGES):
        add(framing, number)
    framing.settle(framing.take(5.0)[0])
    add(framing, 1)
    assert framing.take(5.0 + LONGEST_BEAT)


def test_a_beat_lasts_as_asked_for_until_much_comes() -> None:
    limits = Limits(500, INTERVAL)
    assert limits.beat(0, 0.0) == limits.beat(BEAT_MESSAGES, INTERVAL) == INTERVAL
    assert limits.beat(10 * BEAT_MESSAGES, 10 * INTERVAL) == INTERVAL
    assert limits.beat(3 * BEAT_MESSAGES, INTERVAL) == pytest.approx(3 * INTERVAL)
    assert limits.beat(30 * BEAT_MESSAGES, INTERVAL) == limits.beat(10**9, 0.0) == LONGEST_BEAT
    assert Limits(500, 2.0).beat(10**9, 2.0) == 2.0


def test_without_an_interval_every_frame_leaves_at_once() -> None:
    framing = Framer(Limits(500, 0.0), partitions=2)
    for now in (5.0, 5.0, 6.0):
        add(framing, 1, partition=0)
        add(framing, 2, partition=1)
        taken = framing.take(now)
        assert [frame.partition for frame in taken] == [0, 1]
        for frame in taken:
            framing.settle(frame)


def test_bytes_close_a_frame_too() -> None:
    framing = framer(messages=100, size=250)
    for number in range(3):
        add(framing, number, size=100)
    (frame,) = framing.take(now=5.0)
    assert (frame.count, frame.size) == (2, 200)


def test_draining_waits_for_no_interval() -> None:
    framing = framer()
    add(framing, 1)
    framing.settle(framing.take(now=5.0)[0])
    add(framing, 2)
    assert framing.take(now=5.0, everything=True)[0].messages == [message(2)]


def arrival(acknowledger: Acknowledger, acknowledgements: bytes, messages: int, connection: int = 1) -> Arrival:
    made = Arrival(connection)
    made.acknowledgements += acknowledgements
    made.outstanding = messages
    acknowledger.expect(made)
    return made


def test_acknowledgements_leave_in_the_order_of_arrival() -> None:
    acknowledger = Acknowledger()
    first, second = arrival(acknowledger, b"1", 2), arrival(acknowledger, b"2", 1)
    assert acknowledger.settle([(second, 1)], connection=1) == b""
    assert acknowledger.settle([(first, 1)], connection=1) == b""
    assert acknowledger.settle([(first, 1)], connection=1) == b"12"


def test_acknowledgements_of_an_earlier_connection_are_void() -> None:
    acknowledger = Acknowledger()
    old, new = arrival(acknowledger, b"1", 1, connection=1), arrival(acknowledger, b"2", 1, connection=2)
    assert acknowledger.settle([(old, 1), (new, 1)], connection=2) == b"2"


def test_the_oldest_arrival_that_is_not_durable_tells_how_late_live_data_is() -> None:
    acknowledger = Acknowledger()
    assert acknowledger.oldest is None
    first, second = Arrival(1, received_at=5), Arrival(1, received_at=9)
    for one in (first, second):
        one.outstanding = 1
        acknowledger.expect(one)
    acknowledger.settle([(second, 1)], connection=1)
    assert acknowledger.oldest == 5
    acknowledger.settle([(first, 1)], connection=1)
    assert acknowledger.oldest is None
