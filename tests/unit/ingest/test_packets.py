import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.packets import MalformedPacket, Publish, again, publish_packet, reply_properties, split


def properties_of(**values: object) -> bytes:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    packed: bytes = properties.pack()  # type: ignore[no-untyped-call]
    assert packed[0] < 128
    return packed[1:]


def test_a_message_is_taken_apart() -> None:
    packets = split(publish_packet(b"agora/v1/a/b/up/vitals", 0x8001, b"{}"))
    assert packets.publishes == [Publish(b"agora/v1/a/b/up/vitals", b"\x80\x01", b"", b"{}")]
    assert packets.control == b""


def test_a_message_without_acknowledgement_has_no_packet_id() -> None:
    assert split(b"\x30\x07\x00\x03a/b\x00!").publishes == [Publish(b"a/b", b"", b"", b"!")]


def test_an_empty_message_is_one() -> None:
    assert split(publish_packet(b"t", 7, b"")).publishes[0].payload == b""


def test_an_acknowledgement_says_what_became_of_our_message() -> None:
    assert split(b"\x40\x02\x80\x05" + b"\x40\x04\x80\x06\x87\x00").acknowledged == [(0x8005, 0), (0x8006, 0x87)]


def test_all_other_packets_are_left_as_they_are() -> None:
    connack, pingresp = b"\x20\x03\x01\x00\x00", b"\xd0\x00"
    packets = split(connack + publish_packet(b"t", 1, b"x") + pingresp)
    assert packets.control == connack + pingresp
    assert len(packets.publishes) == 1


def test_the_beginning_of_a_packet_waits_for_its_rest() -> None:
    whole = publish_packet(b"t", 1, b"x" * 300)
    packets = split(whole + whole[:100])
    assert (packets.consumed, packets.wanted, len(packets.publishes)) == (len(whole), len(whole), 1)


def test_a_packet_whose_length_is_cut_waits_too() -> None:
    assert split(publish_packet(b"t", 1, b"x" * 300)[:2]) == ([], [], b"", 0, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\xff\xff\xff\xff\x01",
        b"\x30\x01\x00",
        b"\x32\x05\x00\x09a/b",
        b"\x32\x06\x00\x01a\x00\x01\x05",
        b"\x40\x01\x01",
    ],
    ids=["endless length", "no topic", "topic too long", "properties too long", "no packet id"],
)
def test_what_is_not_mqtt_is_told(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        split(data)


def test_correlation_and_response_topic_are_found_among_all_other_properties() -> None:
    properties = properties_of(
        PayloadFormatIndicator=1,
        MessageExpiryInterval=60,
        ContentType="application/json",
        ResponseTopic="agora/v1/a/b/down/receipts",
        CorrelationData=b"\x00\xff",
        UserProperty=[("one", "two"), ("three", "")],
    )
    assert reply_properties(properties) == (b"\x00\xff", b"agora/v1/a/b/down/receipts")


def test_properties_that_want_no_reply_give_none() -> None:
    assert reply_properties(properties_of(ContentType="x")) == (None, None)


@pytest.mark.parametrize("properties", [b"\x7f\x00", b"\x09\x00\x05abc", b"\x02\x00"], ids=["unknown", "cut", "cut fixed"])
def test_properties_that_are_none_are_told(properties: bytes) -> None:
    with pytest.raises(MalformedPacket):
        reply_properties(properties)


def test_a_message_sent_again_says_so() -> None:
    packet = publish_packet(b"t", 0x8000, b"x")
    assert again(packet) == bytes((packet[0] | 8,)) + packet[1:]
