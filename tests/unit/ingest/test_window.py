from ingest.packets import DUP, split
from ingest.window import FIRST_PACKET_ID, LAST_PACKET_ID, Window


class Wire:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def payloads(self) -> list[bytes]:
        return [publish.payload for publish in split(b"".join(self.sent)).publishes]

    def ids(self) -> list[int]:
        return [int.from_bytes(publish.packet_id, "big") for publish in split(b"".join(self.sent)).publishes]


def filled(most: int, count: int) -> tuple[Wire, Window]:
    wire = Wire()
    window = Window(wire.sent.append, most)
    window.opened(65_535)
    for number in range(count):
        window.publish(b"t", str(number).encode())
    return wire, window


def test_no_more_leaves_than_the_broker_allows() -> None:
    wire, window = filled(most=2, count=5)
    assert wire.payloads() == [b"0", b"1"]
    window.acknowledged(wire.ids()[0], 0)
    assert wire.payloads() == [b"0", b"1", b"2"]
    assert len(window) == 4


def test_without_a_connection_it_waits() -> None:
    wire = Wire()
    window = Window(wire.sent.append)
    window.publish(b"t", b"x")
    assert wire.sent == []
    window.opened(10)
    assert wire.payloads() == [b"x"]


def test_what_was_not_acknowledged_is_sent_again_under_its_id() -> None:
    wire, window = filled(most=2, count=3)
    before = wire.ids()
    window.closed()
    wire.sent.clear()
    window.opened(65_535)
    assert wire.ids() == before
    assert all(packet[0] & DUP for packet in wire.sent)


def test_a_broker_that_allows_less_than_before_gets_less() -> None:
    wire, window = filled(most=3, count=3)
    window.closed()
    wire.sent.clear()
    window.opened(1)
    assert wire.payloads() == [b"0"]
    window.acknowledged(wire.ids()[0], 0)
    assert wire.payloads() == [b"0", b"1"]


def test_the_answer_of_the_broker_is_told() -> None:
    wire = Wire()
    window = Window(wire.sent.append)
    window.opened(10)
    reasons: list[int] = []
    window.publish(b"t", b"x", reasons.append)
    window.acknowledged(wire.ids()[0], 0x87)
    window.acknowledged(wire.ids()[0], 0)
    assert reasons == [0x87]


def test_ids_come_round_without_meeting_one_that_is_under_way() -> None:
    wire, window = filled(most=3, count=1)
    first = wire.ids()[0]
    for _ in range(LAST_PACKET_ID - FIRST_PACKET_ID + 5):
        wire.sent.clear()
        window.publish(b"t", b"x")
        (current,) = wire.ids()
        assert current != first
        assert FIRST_PACKET_ID <= current <= LAST_PACKET_ID
        window.acknowledged(current, 0)


def test_what_another_bridge_answers_is_forgotten() -> None:
    wire, window = filled(most=2, count=5)
    window.closed()
    window.clear()
    assert len(window) == 0
    already = len(wire.sent)
    window.opened(10)
    window.acknowledged(FIRST_PACKET_ID, 0)
    assert len(wire.sent) == already
