"""Ledger rows: what became of the messages of one raw record (design section 5, 4).

For every row ``received + replayed = accepted + duplicate + quarantined`` holds; the whole ledger closes when
``received = stored + duplicate + (quarantined - replayed) + in flight``.
"""

from __future__ import annotations

import msgspec

from contracts.decoding import decoded


class DeviceOutcome(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Counts for one device within one raw record, all in messages but the last.

    Attributes:
        org: organisation.
        device: device; both empty for messages whose topic could not be read.
        received: messages that came from the device.
        replayed: messages sent through again from quarantine or after a hole.
        accepted: messages that gave observations.
        duplicate: messages the normaliser had seen a moment ago.
        quarantined: messages refused.
        readings: observations the accepted messages gave.
    """

    org: str
    device: str
    received: int
    replayed: int
    accepted: int
    duplicate: int
    quarantined: int
    readings: int


class RawOutcome(msgspec.Struct, array_like=True, frozen=True):
    """What a record of ``agora.ledger.v1`` holds: the outcome of one record of ``agora.raw.v1``.

    Attributes:
        partition: of the raw record.
        offset: of the raw record; with the partition the key under which a second pass is counted once.
        hour: instant of the full hour of the first message's ``received_at``.
        devices: counts by device.
    """

    partition: int
    offset: int
    hour: int
    devices: list[DeviceOutcome]


_decoder = msgspec.msgpack.Decoder(RawOutcome)


def decode_outcome(value: bytes) -> RawOutcome:
    """Read a ledger record.

    Raises:
        msgspec.DecodeError: when the bytes are not one.
    """
    return decoded(_decoder, value)
