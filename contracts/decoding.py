"""The one way to decode what comes from Kafka or MQTT: whatever the bytes are, a value or ``msgspec.DecodeError``; pure."""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec

T = TypeVar("T", covariant=True)


class Decoder(Protocol[T]):
    """A msgspec decoder, of JSON or msgpack."""

    def decode(self, value: bytes, /) -> T:
        """Decode."""


def decoded(decoder: Decoder[T], value: bytes | None) -> T:
    """Decode bytes that may be anything.

    msgspec lets bad UTF-8 and deep nesting out as Python's own exceptions; whoever expects its own would end the process on them.

    Args:
        decoder: of the model.
        value: the bytes; None as a tombstone has it.

    Returns:
        What they say.

    Raises:
        msgspec.DecodeError: when they are not one, for whatever reason.
    """
    try:
        return decoder.decode(value or b"")
    except (UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise msgspec.DecodeError(type(error).__name__) from None
