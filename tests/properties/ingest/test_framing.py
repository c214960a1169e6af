"""Whatever comes, in whatever order Kafka confirms it: nothing is lost, order is kept, bounds hold."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contracts.frames import MAX_FRAME_BYTES, RawFrame, RawMessage, decode_raw, encode
from ingest.framing import MAX_MESSAGE_BYTES, MESSAGE_OVERHEAD_BYTES, Frame, Limits
from ingest.intake import Intake
from ingest.packets import Publish
from ingest.routes import route

DEVICES = [f"agora/v1/sme-a/device-{number}/up/vitals".encode() for number in range(6)]


class Bridging(RuleBasedStateMachine):
    """Messages come in, frames leave, Kafka confirms them in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = Limits(messages=4, interval=1.0, bytes=600)
        self.intake = Intake(self.limits)
        self.now = 0.0
        self.sent: list[tuple[bytes, bytes]] = []
        self.under_way: list[Frame] = []
        self.durable: list[tuple[bytes, bytes]] = []
        self.acknowledged: list[int] = []
        self.durable_ids: set[int] = set()

    @rule(arrivals=st.lists(st.tuples(st.sampled_from(DEVICES), st.integers(0, 300)), max_size=12))
    def receive(self, arrivals: list[tuple[bytes, int]]) -> None:
        publishes = []
        for topic, length in arrivals:
            number = len(self.sent) + 1
            payload = str(number).encode() + b"." * length
            self.sent.append((topic, payload))
            publishes.append(Publish(topic, number.to_bytes(2, "big"), b"", payload))
        assert self.intake.receive(publishes, 1, 0, 0.0) == []

    @rule(elapsed=st.floats(0, 2), everything=st.booleans())
    def ship(self, elapsed: float, everything: bool) -> None:
        self.now += elapsed
        self.under_way += self.intake.framer.take(self.now, everything)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        frame = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        self.settle(frame)

    def settle(self, frame: Frame) -> None:
        self.intake.framer.settle(frame)
        for message in decode_raw(frame.value()).messages:
            self.durable.append((message.topic.encode(), message.payload))
            self.durable_ids.add(int(message.payload.split(b".")[0]))
        packets = self.intake.acknowledger.settle(frame.shares, 1)
        self.acknowledged += [int.from_bytes(packets[at + 2 : at + 4], "big") for at in range(0, len(packets), 4)]

    @invariant()
    def frames_keep_their_bounds(self) -> None:
        for frame in self.under_way:
            assert 1 <= frame.count <= self.limits.messages
            assert len(frame.value()) <= frame.size + 16 <= self.limits.bytes + 16
        assert len({frame.partition for frame in self.under_way}) == len(self.under_way)

    @invariant()
    def acknowledged_is_durable_and_in_order(self) -> None:
        assert self.acknowledged == list(range(1, len(self.acknowledged) + 1))
        assert set(self.acknowledged) <= self.durable_ids

    @invariant()
    def order_of_a_device_is_kept(self) -> None:
        for topic in DEVICES:
            sent = [message for message in self.sent if message[0] == topic]
            durable = [message for message in self.durable if message[0] == topic]
            assert durable == sent[: len(durable)]

    def teardown(self) -> None:
        """Drained, everything is durable and acknowledged, each once."""
        while True:
            self.under_way += self.intake.framer.take(self.now, everything=True)
            if not self.under_way:
                break
            self.settle(self.under_way.pop())
        assert sorted(self.durable) == sorted(self.sent)
        assert self.acknowledged == list(range(1, len(self.sent) + 1))


TestBridging = Bridging.TestCase
TestBridging.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@given(
    st.lists(
        st.builds(
            RawMessage,
            topic=st.text(max_size=80),
            payload=st.binary(max_size=300) | st.just(b"x" * 70_000),
            received_at=st.integers(0, 2**63 - 1),
            correlation=st.none() | st.binary(max_size=64),
            message_id=st.none() | st.text(max_size=64),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_the_size_of_a_message_is_never_underestimated(messages: list[RawMessage]) -> None:
    bound = sum(
        len(message.topic.encode())
        + len(message.payload)
        + len(message.correlation or b"")
        + 4 * len(message.message_id or "")
        + MESSAGE_OVERHEAD_BYTES
        for message in messages
    )
    assert len(encode(RawFrame(messages))) <= bound + 16
    assert MAX_MESSAGE_BYTES + 16 <= MAX_FRAME_BYTES


@given(st.binary(max_size=200))
def test_any_topic_finds_a_route(topic: bytes) -> None:
    found = route(topic)
    assert bool(found.receipts) == bool(found.device)
    assert b"+" not in found.receipts
    assert b"#" not in found.receipts
