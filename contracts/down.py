"""What the platform tells a device: receipts and errors, and the Kafka record that carries an error to the bridge."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import msgspec

from contracts.decoding import decoded


class Receipt(msgspec.Struct, frozen=True):
    """Word that one message is durable in Kafka.

    Attributes:
        correlation: base64url without padding of the MQTT 5 correlation data, or the message's ``message_id``.
        kind: which of the two, ``correlation`` or ``message_id``.
        outcome: always ``durable`` in this version.
    """

    correlation: str
    kind: str
    outcome: str = "durable"


class Receipts(msgspec.Struct, frozen=True):
    """Payload on ``…/down/receipts``: all receipts of one device and one flush. They may repeat."""

    receipts: list[Receipt]


class DeviceError(msgspec.Struct, frozen=True, omit_defaults=True):
    """Payload on ``…/down/errors``.

    Attributes:
        code: ``contracts.errors.Code``.
        words: what was expected, what came, what to do; never a patient's value.
        severity: ``error`` (the message is in quarantine, or with ``rate-exceeded`` was not taken at all) or ``warning`` (it went
            through).
        field: path of the offending field, or empty.
        stream: stream it came on.
        correlation: as in ``Receipt``, when the message carried one.
        message_id: when the message carried one.
        retry_after: seconds to rest before anything is sent again; only with ``rate-exceeded``, which is told once a second at
            most and stands for every message that has no receipt.
    """

    code: str
    words: str
    severity: str = "error"
    field: str = ""
    stream: str = ""
    correlation: str = ""
    message_id: str = ""
    retry_after: int = 0


class DownRecord(msgspec.Struct, frozen=True):
    """A record of ``agora.down.v1``, keyed by ``<org>/<device>``.

    Attributes:
        org: organisation.
        device: device.
        what: last level of the topic: ``errors`` or ``commands``.
        payload: what to publish, as JSON.
    """

    org: str
    device: str
    what: str
    payload: DeviceError


_encoder = msgspec.json.Encoder()
_record_decoder = msgspec.json.Decoder(DownRecord)
_receipts_decoder = msgspec.json.Decoder(Receipts)
_error_decoder = msgspec.json.Decoder(DeviceError)


def encode(value: msgspec.Struct) -> bytes:
    """Write any of these as JSON."""
    return _encoder.encode(value)


def decode_record(value: bytes) -> DownRecord:
    """Read a record of ``agora.down.v1``.

    Raises:
        msgspec.DecodeError: when the bytes are not one.
    """
    return decoded(_record_decoder, value)


def decode_receipts(payload: bytes) -> Receipts:
    """Read what arrived on ``…/down/receipts``.

    Raises:
        msgspec.DecodeError: when the bytes are not receipts.
    """
    return decoded(_receipts_decoder, payload)


def decode_error(payload: bytes) -> DeviceError:
    """Read what arrived on ``…/down/errors``.

    Raises:
        msgspec.DecodeError: when the bytes are not an error.
    """
    return decoded(_error_decoder, payload)


def correlation_text(correlation: bytes) -> str:
    """Write correlation data as base64url without padding (RFC 4648, section 5), as receipts carry it."""
    return urlsafe_b64encode(correlation).rstrip(b"=").decode()
