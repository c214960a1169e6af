from contracts.errors import Code
from ingest.framing import Limits
from ingest.intake import Intake
from ingest.packets import Publish
from ingest.quota import NAME_SECONDS, Exceeded, QuotaLimits

FAST, CALM = b"agora/v1/sme-a/fast/up/vitals", b"agora/v1/sme-a/calm/up/vitals"
LIMITS = QuotaLimits(messages=10, burst_messages=20, bytes=10_000, burst_bytes=100_000)


def intake(limits: QuotaLimits = LIMITS) -> Intake:
    return Intake(Limits(500, 0.02), limits)


def send(target: Intake, topic: bytes, count: int, at: float, payload: bytes = b"x") -> int:
    """Send messages; gives how many were taken."""
    before = target.waiting_messages
    target.receive([Publish(topic, b"\x00\x07", b"", payload)] * count, 1, 0, at)
    return target.waiting_messages - before


def exceeded(target: Intake) -> Exceeded:
    found = target.take_exceeded()
    assert found is not None
    return found


def test_a_device_may_send_its_burst_and_then_its_rate() -> None:
    target = intake()
    assert send(target, FAST, 50, at=0.0) == 20
    assert send(target, FAST, 50, at=1.0) == 10
    assert send(target, FAST, 50, at=1.5) == 5
    assert send(target, FAST, 50, at=100.0) == 20


def test_bytes_count_too() -> None:
    target = intake()
    assert send(target, FAST, 15, at=0.0, payload=b"x" * 10_000) == 9
    assert send(target, FAST, 15, at=1.1, payload=b"x" * 10_000) == 2


def test_one_device_uses_up_nothing_of_anothers_and_its_streams_are_one() -> None:
    target = intake()
    assert send(target, FAST, 20, at=0.0) == 20
    assert send(target, FAST.replace(b"vitals", b"other"), 20, at=0.0) == 0
    assert send(target, CALM, 20, at=0.0) == 20


def test_what_is_beyond_the_quota_is_acknowledged_to_the_broker_and_nothing_of_it_waits() -> None:
    target = intake()
    send(target, FAST, 20, at=0.0)
    (frame,) = target.framer.take(now=1.0)
    waiting = target.waiting_bytes
    target.receive([Publish(FAST, b"\x00\x09", b"", b"x")], 1, 0, 0.0)
    assert (target.waiting_messages, target.waiting_bytes) == (20, waiting)
    acknowledged = target.acknowledger.settle(frame.shares, 1)
    assert acknowledged == b"\x40\x02\x00\x07" * 20 + b"\x40\x02\x00\x09"


def test_its_device_is_told_once_a_second_and_the_operator_once_a_minute() -> None:
    target = intake()
    send(target, FAST, 20, at=0.0)
    told, named, refused = 0, 0, 0
    for tenth in range(31):
        send(target, FAST, 100, at=tenth / 10)
        found = exceeded(target)
        told, named, refused = told + len(found.replies.codes()), named + len(found.names), refused + found.messages
    assert (told, named, refused) == (4, 1, 31 * 100 - 30)
    send(target, FAST, 100, at=NAME_SECONDS)
    assert exceeded(target).names == ["sme-a/fast"]
    assert target.take_exceeded() is None


def test_the_error_says_what_is_allowed_and_how_long_to_rest() -> None:
    target = intake()
    target.receive([Publish(FAST, b"\x00\x07", b"\x09\x00\x03abc", b"x")] * 21, 1, 0, 0.0)
    replies = exceeded(target).replies
    ((topic, payload),) = replies.publications()
    assert (topic, replies.receipts(), replies.codes()) == (b"agora/v1/sme-a/fast/down/errors", 0, [Code.RATE_EXCEEDED])
    assert b'"retry_after":2' in payload
    assert b"10 messages" in payload
    assert b'"correlation":"YWJj"' in payload


def test_while_kafka_hangs_what_is_refused_piles_up_nowhere() -> None:
    target = intake()
    send(target, FAST, 20, at=0.0)
    for _ in range(1000):
        target.receive([Publish(FAST, b"", b"", b"x")], 1, 0, 0.0)
    assert len(target.acknowledger._arrivals) == 1
