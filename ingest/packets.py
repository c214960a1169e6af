"""The MQTT 5 packets of the hot path, told apart a whole buffer at a time; pure.

PUBLISH and PUBACK are taken apart here; every other packet is left in its bytes for paho. A client library reads a packet's type,
its length and its body one after the other and keeps an object for each; at ten thousand messages a second that is most of the
bridge's cost (docs/adr/0002-mqtt-hot-path.md).

Source: MQTT Version 5.0, OASIS Standard; sections are named where they apply.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

PUBLISH = 0x30
PUBACK = 0x40
PINGREQ_PACKET = b"\xc0\x00"
PUBACK_HEADER = b"\x40\x02"
PUBLISH_QOS1 = 0x32
DUP = 0x08
MAX_LENGTH_BYTES = 4
_RESPONSE_TOPIC = 0x08
_CORRELATION_DATA = 0x09
_FIXED_PROPERTY_BYTES = {0x01: 1, 0x02: 4, 0x23: 2}
"""Payload format, message expiry, topic alias: their values have a fixed length (section 2.2.2.2)."""
_PREFIXED_PROPERTY_FIELDS = {0x03: 1, _RESPONSE_TOPIC: 1, _CORRELATION_DATA: 1, 0x26: 2}
"""Content type, response topic, correlation data, user property: so many fields that begin with their length in two bytes."""
_SUBSCRIPTION_IDENTIFIER = 0x0B


class MalformedPacket(Exception):
    """The peer does not speak MQTT 5; the connection has to be closed (section 4.13)."""


class Publish(msgspec.Struct, frozen=True, gc=False):
    """A message from the broker.

    Attributes:
        topic: UTF-8 bytes of its topic.
        packet_id: two bytes for its acknowledgement, empty with QoS 0.
        properties: the bytes of its properties without their length, mostly empty.
        payload: the message.
    """

    topic: bytes
    packet_id: bytes
    properties: bytes
    payload: bytes


class Packets(NamedTuple):
    """What a buffer held.

    Attributes:
        publishes: messages, in order.
        acknowledged: (packet id, reason code) of our own publishes, in order.
        control: all other packets, one after the other, for paho.
        consumed: bytes of the buffer that were whole packets.
        wanted: bytes the packet after them takes in all, as far as it is known; 0 where it is not.
    """

    publishes: list[Publish]
    acknowledged: list[tuple[int, int]]
    control: bytes
    consumed: int
    wanted: int


def split(data: bytes) -> Packets:
    """Take a buffer apart.

    Args:
        data: whole packets and perhaps the beginning of one more.

    Returns:
        The packets, and how far they reached.

    Raises:
        MalformedPacket: when the bytes are not MQTT 5.
    """
    publishes: list[Publish] = []
    acknowledged: list[tuple[int, int]] = []
    control: list[bytes] = []
    start, end, wanted = 0, len(data), 0
    while end - start >= 2:
        first = data[start]
        length = data[start + 1]
        body = start + 2
        if length & 0x80:
            if body < end and data[body] < 0x80:  # two bytes, as nearly always
                length += (data[body] << 7) - 0x80
                body += 1
            else:
                length, body = _varint(data, start + 1, end)
                if length < 0:
                    break
        after = body + length
        if after > end:
            wanted = after - start
            break
        kind = first & 0xF0
        if kind == PUBLISH:
            publishes.append(_publish(data, first, body, after))
        elif kind == PUBACK:
            acknowledged.append(_puback(data, body, after))
        else:
            control.append(data[start:after])
        start = after
    return Packets(publishes, acknowledged, b"".join(control), start, wanted)


def _varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Read a variable byte integer (section 1.5.5).

    Returns:
        The value and the position behind it; a value of -1 when the buffer ends before it does.
    """
    value = shift = 0
    for position in range(start, min(end, start + MAX_LENGTH_BYTES)):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
        shift += 7
    if end - start >= MAX_LENGTH_BYTES:
        raise MalformedPacket("a length takes more than four bytes")
    return -1, start


def _publish(data: bytes, first: int, body: int, after: int) -> Publish:
    """Section 3.3."""
    if after - body < 3:
        raise MalformedPacket("a message without a topic")
    at = body + 2 + (data[body] << 8 | data[body + 1])
    topic = data[body + 2 : at]
    packet_id = b""
    if first & 0x06:
        packet_id = data[at : at + 2]
        at += 2
    if at >= after:
        raise MalformedPacket("a message that ends in its header")
    properties = b""
    if data[at] == 0:
        at += 1
    else:
        length, at = _varint(data, at, after)
        properties = data[at : at + length]
        at += length
        if length < 0 or at > after:
            raise MalformedPacket("properties longer than their message")
    return Publish(topic, packet_id, properties, data[at:after])


def _puback(data: bytes, body: int, after: int) -> tuple[int, int]:
    """Section 3.4; without a reason code it means success."""
    if after - body < 2:
        raise MalformedPacket("an acknowledgement without a packet id")
    return data[body] << 8 | data[body + 1], data[body + 2] if after - body > 2 else 0


def reply_properties(properties: bytes) -> tuple[bytes | None, bytes | None]:
    """Find what a message says about the answer it wants (section 3.3.2.3).

    Args:
        properties: of a PUBLISH, without their length.

    Returns:
        Correlation data and response topic, each None where it is missing.

    Raises:
        MalformedPacket: when the bytes are not properties of a PUBLISH.
    """
    correlation: bytes | None = None
    response: bytes | None = None
    at, end = 0, len(properties)
    while at < end:
        kind = properties[at]
        at += 1
        if kind in _PREFIXED_PROPERTY_FIELDS:
            start = at
            for _ in range(_PREFIXED_PROPERTY_FIELDS[kind]):
                at += 2 + int.from_bytes(properties[at : at + 2], "big")
            if kind == _CORRELATION_DATA:
                correlation = properties[start + 2 : at]
            elif kind == _RESPONSE_TOPIC:
                response = properties[start + 2 : at]
        elif kind in _FIXED_PROPERTY_BYTES:
            at += _FIXED_PROPERTY_BYTES[kind]
        elif kind == _SUBSCRIPTION_IDENTIFIER:
            _, at = _varint(properties, at, end)
        else:
            raise MalformedPacket("a property that a message cannot have")
    if at > end:
        raise MalformedPacket("a property longer than all properties")
    return correlation, response


def publish_packet(topic: bytes, packet_id: int, payload: bytes) -> bytes:
    """Make a PUBLISH with QoS 1 and no properties (section 3.3).

    Args:
        topic: UTF-8 bytes without wildcards.
        packet_id: 1 to 65,535.
        payload: at most 256 MB with the topic.

    Returns:
        The packet.
    """
    return b"".join(
        (
            bytes((PUBLISH_QOS1,)),
            _varint_bytes(2 + len(topic) + 2 + 1 + len(payload)),
            len(topic).to_bytes(2, "big"),
            topic,
            packet_id.to_bytes(2, "big"),
            b"\x00",
            payload,
        )
    )


def beat_packet(topic: bytes) -> bytes:
    """Make an empty PUBLISH with QoS 0 and no properties (section 3.3).

    Args:
        topic: UTF-8 bytes without wildcards.

    Returns:
        The packet.
    """
    return b"".join((bytes((PUBLISH,)), _varint_bytes(2 + len(topic) + 1), len(topic).to_bytes(2, "big"), topic, b"\x00"))


def again(packet: bytes) -> bytes:
    """Mark a PUBLISH as one that may have been sent before (section 3.3.1.1)."""
    return bytes((packet[0] | DUP,)) + packet[1:]


def _varint_bytes(value: int) -> bytes:
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
