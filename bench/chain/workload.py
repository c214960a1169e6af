"""The messages of the benchmark: 220 bytes of JSON with three readings, composed fast enough to outrun what is measured; pure.

Every field has a fixed width, so a device's packet is a head that never changes, a few bytes that do, and one of a few tails.
"""

from __future__ import annotations

from datetime import UTC, datetime

from contracts.mqtt import up_topic
from ingest.packets import PUBLISH_QOS1

ORG = "bench"
MODEL = "agora-generic"
READINGS = 3
FIRST_SEQUENCE = 1_000_000_000
"""Ten digits for ever: a JSON number may not begin with zeros."""
CORRELATION_BYTES = 8
NO_PROPERTIES = b"\x00"
CORRELATION_PROPERTY = bytes((3 + CORRELATION_BYTES, 0x09, 0, CORRELATION_BYTES))
"""Length of the properties, then correlation data with its own length (MQTT 5, section 3.3.2.3)."""
TAILS = 40


def device_name(number: int) -> str:
    """Name a device; all names are of one length."""
    return f"d{number:05d}"


def subject_name(number: int) -> str:
    """Name the subject that has the device of this number."""
    return f"s{number:05d}"


def tails() -> list[bytes]:
    """Make the readings of a message: within the catalogue's limits, each a little different from the one before."""
    return [
        (
            f'", "readings": [{{"code": "8867-4", "value": {60 + number}, "unit": "/min"}},'
            f' {{"code": "59408-5", "value": {95 + number % 5}, "unit": "%"}},'
            f' {{"code": "8310-5", "value": {97 + number % 20 / 10:.1f}, "unit": "[degF]"}}]}}'
        ).encode()
        for number in range(TAILS)
    ]


def instant_text(seconds: float) -> bytes:
    """Write an instant as the devices do, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()


def payload(sequence: int, instant: bytes, tail: bytes) -> bytes:
    """Compose a message.

    Args:
        sequence: from ``FIRST_SEQUENCE`` on.
        instant: of ``instant_text``.
        tail: one of ``tails``.
    """
    return b'{"sequence": %d, "time": "%b%b' % (sequence, instant, tail)


class Composer:
    """Makes the packets of one connection, its devices in turn.

    Args:
        devices: numbers of the devices that publish on it.
        receipts: whether each message asks for a receipt, by MQTT 5 correlation data.
    """

    def __init__(self, devices: range, receipts: bool) -> None:
        self._tails = tails()
        body = len(payload(FIRST_SEQUENCE, instant_text(0), self._tails[0]))
        properties = len(CORRELATION_PROPERTY) + CORRELATION_BYTES if receipts else len(NO_PROPERTIES)
        self._heads = [_head(up_topic(ORG, device_name(number)).encode(), 2 + properties + body) for number in devices]
        self._receipts = receipts
        self._made = 0

    def packets(self, count: int, instant: bytes) -> bytes:
        """Make the next packets.

        Args:
            count: how many.
            instant: of all of them, of ``instant_text``.

        Returns:
            Their bytes, one after the other. A device's messages have rising sequence numbers.
        """
        heads, ends = self._heads, self._tails
        parts: list[bytes] = []
        for made in range(self._made, self._made + count):
            message = payload(FIRST_SEQUENCE + made, instant, ends[made % TAILS])
            properties = CORRELATION_PROPERTY + made.to_bytes(CORRELATION_BYTES, "big") if self._receipts else NO_PROPERTIES
            parts += (heads[made % len(heads)], (made % 0xFFFF + 1).to_bytes(2, "big"), properties, message)
        self._made += count
        return b"".join(parts)


def _head(topic: bytes, rest: int) -> bytes:
    length = 2 + len(topic) + rest
    if not 0x80 <= length < 0x4000:
        raise ValueError(f"a packet of {length} bytes has no length of two bytes")
    return b"".join((bytes((PUBLISH_QOS1, length & 0x7F | 0x80, length >> 7)), len(topic).to_bytes(2, "big"), topic))
