"""The parser against paho's own writing of properties, and against bytes that are nothing at all."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.packets import MalformedPacket, Publish, publish_packet, reply_properties, split

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40)


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.integers(1, 65_535), st.binary(max_size=400)), max_size=8),
    st.data(),
)
def test_a_stream_gives_the_same_messages_wherever_it_is_cut(sent: list[tuple[bytes, int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(publish_packet(*message) for message in sent)
    found: list[Publish] = []
    rest = b""
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        packets = split(rest + stream[:cut])
        found += packets.publishes
        rest, stream = (rest + stream[:cut])[packets.consumed :], stream[cut:]
    assert rest == b""
    assert found == [Publish(topic, number.to_bytes(2, "big"), b"", payload) for topic, number, payload in sent]


@given(
    st.none() | st.binary(max_size=300),
    st.none() | TEXT,
    st.none() | TEXT,
    st.lists(st.tuples(TEXT, TEXT), max_size=3),
    st.none() | st.integers(0, 2**32 - 1),
)
def test_replies_are_read_as_paho_writes_them(
    correlation: bytes | None, response: str | None, content: str | None, user: list[tuple[str, str]], expiry: int | None
) -> None:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    given_values = {
        "CorrelationData": correlation,
        "ResponseTopic": response,
        "ContentType": content,
        "UserProperty": user or None,
        "MessageExpiryInterval": expiry,
    }
    for name, value in given_values.items():
        if value is not None:
            setattr(properties, name, value)
    packed: bytes = properties.pack()  # type: ignore[no-untyped-call]
    body = b"\x00\x01t\x00\x07" + packed + b"payload"
    length = len(body)
    header = bytes((0x32,)) + (bytes((length,)) if length < 128 else bytes((length & 127 | 128, length >> 7)))
    (publish,) = split(header + body).publishes
    assert publish.payload == b"payload"
    assert reply_properties(publish.properties) == (correlation, None if response is None else response.encode())


@given(st.binary(max_size=60))
def test_any_bytes_are_packets_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedPacket):
        assert 0 <= split(data).consumed <= len(data)
    with contextlib.suppress(MalformedPacket):
        reply_properties(data)
