import pytest

from contracts.errors import Code
from contracts.frames import RawMessage, decode_raw
from contracts.quarantine import decode_quarantined
from contracts.topics import FRAME_BYTES, QUARANTINE
from ingest.framing import MAX_MESSAGE_BYTES, Frame, Limits
from ingest.intake import KEPT_BYTES, Intake
from ingest.packets import MalformedPacket, Publish
from ingest.routes import route

TOPIC = b"agora/v1/sme-a/cuff-1/up/vitals"
CORRELATED = b"\x09\x00\x03abc"
NOW = 1_700_000_000_000_000


def intake(size: int = MAX_MESSAGE_BYTES) -> Intake:
    return Intake(Limits(500, 0.02, size))


def only_frame(target: Intake) -> Frame:
    (frame,) = target.framer.take(now=1.0)
    return frame


def test_a_message_travels_as_it_came() -> None:
    target = intake()
    payload = b'\x00\xff not even JSON "message_id"'
    assert target.receive([Publish(TOPIC, b"\x00\x07", CORRELATED, payload)], 1, NOW, 0.0) == []
    frame = only_frame(target)
    assert frame.partition == route(TOPIC).partition
    assert decode_raw(frame.value()).messages == [RawMessage(TOPIC.decode(), payload, NOW, b"abc")]
    assert dict(frame.headers())["agora-count"] == b"1"


def test_a_topic_of_the_wrong_shape_goes_to_the_log_for_the_normaliser_to_judge() -> None:
    target = intake()
    assert target.receive([Publish(b"agora/v1/sme-a/cuff-1/up/a/b", b"\x00\x07", b"", b"x")], 1, NOW, 0.0) == []
    assert only_frame(target).messages[0].topic == "agora/v1/sme-a/cuff-1/up/a/b"


def test_it_is_acknowledged_only_once_it_is_durable() -> None:
    target = intake()
    target.receive([Publish(TOPIC, b"\x00\x07", b"", b"x"), Publish(TOPIC, b"", b"", b"qos 0")], 1, NOW, 0.0)
    frame = only_frame(target)
    assert target.acknowledger.settle(frame.shares, 1) == b"\x40\x02\x00\x07"


def test_what_waits_is_counted() -> None:
    target = intake()
    target.receive([Publish(TOPIC, b"\x00\x07", b"", b"x")] * 3, 1, NOW, 0.0)
    frame = only_frame(target)
    assert (target.waiting_messages, target.waiting_bytes) == (frame.count, frame.size) == (3, frame.size)


def test_the_id_of_the_envelope_is_kept_with_the_message() -> None:
    target = intake()
    target.receive([Publish(TOPIC, b"\x00\x07", b"", b'{"message_id":"m-1"}')], 1, NOW, 0.0)
    frame = only_frame(target)
    assert frame.messages[0].message_id == "m-1"
    assert frame.replies.receipts() == 1


def test_a_message_no_frame_can_hold_goes_to_quarantine_with_its_reason() -> None:
    target = intake(size=4096)
    (refusal,) = target.receive([Publish(TOPIC, b"\x00\x07", CORRELATED, b"x" * 5000)], 1, NOW, 0.0)
    kept = decode_quarantined(refusal.value())
    assert refusal.topic == QUARANTINE.name
    assert (kept.source, kept.stage, kept.code) == ("", "bridge", Code.PAYLOAD_TOO_LARGE)
    assert (kept.org, kept.device, kept.payload, kept.correlation) == ("sme-a", "cuff-1", b"x" * 5000, b"abc")
    assert refusal.replies.codes() == [Code.PAYLOAD_TOO_LARGE]
    assert refusal.replies.receipts() == 0
    assert target.framer.take(now=1.0) == []
    assert target.waiting_messages == 1
    assert target.acknowledger.settle(refusal.shares, 1) == b"\x40\x02\x00\x07"


def test_a_giant_is_cut_to_what_a_record_holds_and_says_so() -> None:
    giant = Publish(b"agora/v1/a/b/up/" + b"s" * 65_000, b"\x00\x07", b"", b"x" * (3 * FRAME_BYTES))
    (refusal,) = intake().receive([giant], 1, NOW, 0.0)
    kept = decode_quarantined(refusal.value())
    assert len(kept.payload) == KEPT_BYTES
    assert f"first {KEPT_BYTES} bytes" in kept.words
    assert len(refusal.value()) + 1024 < FRAME_BYTES


def test_neighbours_of_a_refused_message_go_their_way() -> None:
    target = intake(size=4096)
    messages = [Publish(TOPIC, b"\x00\x01", b"", b"1"), Publish(TOPIC, b"\x00\x02", b"", b"x" * 5000)]
    refusals = target.receive([*messages, Publish(TOPIC, b"\x00\x03", b"", b"3")], 1, NOW, 0.0)
    assert len(refusals) == 1
    assert [message.payload for message in only_frame(target).messages] == [b"1", b"3"]


def test_what_came_before_a_malformed_message_is_still_accounted_for() -> None:
    target = intake()
    with pytest.raises(MalformedPacket):
        target.receive([Publish(TOPIC, b"\x00\x01", b"", b"1"), Publish(TOPIC, b"\x00\x02", b"\x7f", b"2")], 1, NOW, 0.0)
    frame = only_frame(target)
    assert (target.waiting_messages, target.waiting_bytes) == (1, frame.size)
    assert target.acknowledger.settle(frame.shares, 1) == b"\x40\x02\x00\x01"
