"""Frames: Kafka records that hold all messages for one partition which arrived within a few milliseconds.

A frame's value is msgpack; its headers say how many messages it holds and in which version, so that counting never decodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from contracts.decoding import decoded

VERSION = "1"
MAX_FRAME_BYTES = 512 * 1024
HEADER_COUNT = "agora-count"
HEADER_VERSION = "agora-version"
HEADER_SOURCE = "agora-source"
"""On a derived record: ``topic/partition/offset`` of the record it was made from."""
HEADER_ORIGINS = "agora-origins"
"""On a vitals record: the raw records it was made from, so that the ledger closes without decoding."""
HEADER_OWNED = "agora-owned"
"""On a vitals record from before such records held several raw records, beside ``agora-source``: its messages. Kafka keeps them
as long as all others, and a store that was behind, or whose database was restored, has yet to read them."""

COUNT_DIGITS = 9
"""A longer number is no count: it would not fit where the ledger keeps it."""
_ORIGIN = re.compile(r"([0-9]{1,9})/([0-9]{1,18})/([0-9]{1,9})/([0-9]{1,9})")
Headers = list[tuple[str, bytes]]


class Coordinates(NamedTuple):
    """Where a record stands in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Coordinates:
        """Read coordinates back from ``topic/partition/offset``.

        Raises:
            ValueError: when the text has another shape.
        """
        topic, partition, offset = text.rsplit("/", 2)
        return cls(topic, int(partition), int(offset))


class Origin(NamedTuple):
    """What a vitals record holds of one raw record; its observations stand together, in the order of the origins.

    Attributes:
        partition: of the raw record.
        offset: of the raw record.
        readings: observations of it in this record.
        messages: its messages for which this record accounts (``Observation.owner``).
    """

    partition: int
    offset: int
    readings: int
    messages: int


class RawMessage(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One MQTT message as it came.

    Attributes:
        topic: MQTT topic.
        payload: bytes, untouched.
        received_at: instant in microseconds at which the bridge had it whole.
        correlation: MQTT 5 correlation data, or None.
        message_id: the JSON envelope's ``message_id`` when the bridge saw one, or None.
        replay_of: ``topic/partition/offset/index`` of the quarantined message this one repeats, or None.
    """

    topic: str
    payload: bytes
    received_at: int
    correlation: bytes | None = None
    message_id: str | None = None
    replay_of: str | None = None


class RawFrame(msgspec.Struct, array_like=True, frozen=True):
    """What a record of ``agora.raw.v1`` holds: messages of one partition, in the order of their arrival."""

    messages: list[RawMessage]


_encoder = msgspec.msgpack.Encoder()
_raw_decoder = msgspec.msgpack.Decoder(RawFrame)


def encode(frame: msgspec.Struct) -> bytes:
    """Write a frame as msgpack."""
    return _encoder.encode(frame)


def decode_raw(value: bytes) -> RawFrame:
    """Read a raw frame.

    Raises:
        msgspec.DecodeError: when the bytes are not a raw frame (also its subclass ``ValidationError``).
    """
    return decoded(_raw_decoder, value)


def headers(count: int, source: Coordinates | None = None) -> Headers:
    """Make a frame's headers.

    Args:
        count: messages in it.
        source: the record it was made from, when there is one.

    Returns:
        Kafka headers.
    """
    made: Headers = [(HEADER_COUNT, str(count).encode()), (HEADER_VERSION, VERSION.encode())]
    if source is not None:
        made.append((HEADER_SOURCE, str(source).encode()))
    return made


def vitals_headers(origins: Sequence[Origin]) -> Headers:
    """Make the headers of a vitals record.

    Args:
        origins: what it holds of which raw record, in the order of its observations.

    Returns:
        Kafka headers.
    """
    made = headers(sum([one.readings for one in origins]))
    made.append((HEADER_ORIGINS, ",".join(["/".join(map(str, one)) for one in origins]).encode()))
    return made


def origins_of(found: Sequence[tuple[str, bytes]] | None) -> list[Origin]:
    """Read which raw records a vitals record was made from.

    Args:
        found: the record's headers.

    Returns:
        At least one.

    Raises:
        ValueError: when the header is missing or malformed.
    """
    text = header(found, HEADER_ORIGINS)
    return [_only_origin(found)] if text is None else [_origin(one) for one in text.split(",")]


def _only_origin(found: Sequence[tuple[str, bytes]] | None) -> Origin:
    """Read the headers of a record from before ``agora-origins``."""
    source, messages = header(found, HEADER_SOURCE), header(found, HEADER_OWNED)
    if source is None or messages is None:
        raise ValueError(f"a vitals record needs the header {HEADER_ORIGINS}")
    place = Coordinates.parse(source)
    return _origin(f"{place.partition}/{place.offset}/{count_of(found)}/{messages}")


def _origin(text: str) -> Origin:
    found = _ORIGIN.fullmatch(text)
    if found is None:
        raise ValueError(f"{HEADER_ORIGINS} holds partition/offset/readings/messages of each raw record")
    return Origin(*map(int, found.groups()))


def header(found: Iterable[tuple[str, bytes]] | None, name: str) -> str | None:
    """Read one header.

    Args:
        found: a record's headers, or None.
        name: which.

    Returns:
        Its text, or None where it is missing.
    """
    for key, value in found or ():
        if key == name:
            return value.decode()
    return None


def count_of(found: Sequence[tuple[str, bytes]] | None) -> int:
    """Read how many messages a record holds without decoding it.

    Args:
        found: the record's headers.

    Returns:
        The count; 1 for a record whose header is missing or no count, which is then one message.
    """
    try:
        text = header(found, HEADER_COUNT) or ""
    except UnicodeDecodeError:
        return 1
    return int(text) if text.isascii() and text.isdigit() and len(text) <= COUNT_DIGITS else 1
