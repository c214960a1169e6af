"""What is kept of a message that could not be handled, with its reason; enough to replay it."""

from __future__ import annotations

import msgspec

from contracts.decoding import decoded


class QuarantinedMessage(msgspec.Struct, array_like=True, frozen=True):
    """A record of ``agora.quarantine.v1``.

    Attributes:
        source: ``topic/partition/offset`` of the Kafka record it came in.
        index: position in that record.
        org: organisation, empty where the topic could not be read.
        device: device, likewise.
        stage: ``contracts.errors.Stage`` that refused it.
        code: ``contracts.errors.Code``.
        words: reason in words, without patient values.
        field: path of the offending field, or empty.
        topic: MQTT topic it came on.
        payload: bytes as they came.
        received_at: instant in microseconds.
        quarantined_at: instant in microseconds.
        software: version of Agora that refused it.
        correlation: MQTT 5 correlation data, or None.
        message_id: envelope's id, or None.
        replay_of: ``topic/partition/offset/index`` this was already a replay of, or None.
        messages: how many messages it stands for: 1, but for a record that could not be decoded (``index`` -1) its whole count.
    """

    source: str
    index: int
    org: str
    device: str
    stage: str
    code: str
    words: str
    field: str
    topic: str
    payload: bytes
    received_at: int
    quarantined_at: int
    software: str
    correlation: bytes | None = None
    message_id: str | None = None
    replay_of: str | None = None
    messages: int = 1


_decoder = msgspec.msgpack.Decoder(QuarantinedMessage)


def decode_quarantined(value: bytes) -> QuarantinedMessage:
    """Read a quarantine record.

    Raises:
        msgspec.DecodeError: when the bytes are not one.
    """
    return decoded(_decoder, value)
