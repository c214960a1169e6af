"""A device's MQTT 5 session in as few steps a message as can be: packets are written whole, answers taken a buffer at a time.

Source: MQTT Version 5.0, OASIS Standard; sections are named where they apply. A client library would cost more than the rest of
the run, and keeps one from sending what only a broken device sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Protocol

from contracts.down import decode_error, decode_receipts
from contracts.mqtt import ERRORS, RECEIPTS, ROOT, down_topic
from ingest.packets import split
from simulators.connection import BrokerAddress
from simulators.patients import DeviceCredential

CONNECT, CONNACK, SUBSCRIBE, SUBACK, PUBLISH_QOS1, DISCONNECT = 0x10, 0x20, 0x82, 0x90, 0x32, 0xE0
PUBACK = b"\x40\x02"
"""Kind and length; behind it stands the packet's id (section 3.4)."""
FLAGS = 0x80 | 0x40 | 0x02
"""User name, password, clean start (section 3.1.2.3)."""
PACKET_IDS = 65_535
READ_BYTES = 1024 * 1024
LOGIN_SECONDS = 20.0


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def _length(value: int) -> bytes:
    """Write a variable byte integer (section 1.5.5)."""
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def _packet(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + _length(len(body)) + body


def connect_packet(credential: DeviceCredential) -> bytes:
    """Write CONNECT (section 3.1): a clean start, no keepalive."""
    name = _string(credential.key.encode())
    head = _string(b"MQTT") + bytes((5, FLAGS, 0, 0)) + b"\x00"
    return _packet(CONNECT, head + name + name + _string(credential.password.encode()))


def subscribe_packet(packet_id: int, topics: list[str]) -> bytes:
    """Write SUBSCRIBE with QoS 1 (section 3.8)."""
    filters = b"".join(_string(topic.encode()) + b"\x01" for topic in topics)
    return _packet(SUBSCRIBE, packet_id.to_bytes(2, "big") + b"\x00" + filters)


def publish_packet(topic: bytes, packet_id: int, payload: bytes, correlation: bytes) -> bytes:
    """Write PUBLISH with QoS 1 and correlation data (section 3.3)."""
    properties = b"\x09" + _string(correlation)
    return _packet(
        PUBLISH_QOS1,
        _string(topic) + packet_id.to_bytes(2, "big") + _length(len(properties)) + properties + payload,
    )


class Listener(Protocol):
    """Who wants to know what becomes of a device's messages."""

    def receipted(self, correlation: bytes) -> None:
        """Take note that Kafka has the message."""

    def refused(self, correlation: bytes, code: str) -> None:
        """Take note that the platform told the device why it refused the message."""


class Lost(Exception):
    """The broker ended the connection."""


class Session:
    """One connection of one device.

    Attributes:
        rejected: publishes the broker answered with a reason of failure, by that reason.
    """

    def __init__(self, address: BrokerAddress, tls: ssl.SSLContext, credential: DeviceCredential, listener: Listener) -> None:
        self.credential = credential
        self.rejected: dict[int, int] = {}
        self._address = address
        self._tls = tls
        self._listener = listener
        self._branch = f"{ROOT}/{credential.key}/up/".encode()
        self._receipts = down_topic(credential.org, credential.device, RECEIPTS).encode()
        self._errors = down_topic(credential.org, credential.device, ERRORS).encode()
        self._next = 0
        self._held: list[bytes] = []
        self._reading: asyncio.Task[None] | None = None
        self._subscribed = asyncio.Event()

    async def open(self) -> None:
        """Connect, log in, and subscribe to receipts and errors.

        Raises:
            Lost: the broker refuses the device.
            OSError: it does not answer.
        """
        reader, self._writer = await asyncio.open_connection(
            self._address.host, self._address.port, ssl=self._tls, limit=READ_BYTES
        )
        self._writer.write(connect_packet(self.credential))
        self._writer.write(subscribe_packet(1, [self._receipts.decode(), self._errors.decode()]))
        self._reading = asyncio.create_task(self._read(reader))
        waiting = asyncio.create_task(self._subscribed.wait())
        await asyncio.wait({waiting, self._reading}, timeout=LOGIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not self._subscribed.is_set():
            raise Lost(f"the broker does not let {self.credential.key} in")

    async def close(self) -> None:
        """End the connection."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            self._writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await self._writer.wait_closed()

    @property
    def lost(self) -> bool:
        """Whether the broker has ended the connection."""
        return self._reading is not None and self._reading.done()

    async def ended(self) -> None:
        """Wait until the broker ends the connection."""
        if self._reading is not None:
            await asyncio.wait({self._reading})

    def publish(self, stream: str, payload: bytes, correlation: bytes) -> None:
        """Publish with QoS 1 below the device's own branch; what one turn of the loop publishes leaves in one write.

        Args:
            stream: levels behind ``up/``.
            payload: any bytes.
            correlation: comes back with receipt and error.

        Raises:
            Lost: the connection has ended.
        """
        if self.lost:
            raise Lost(f"the broker ended the connection of {self.credential.key}")
        self._next = self._next % PACKET_IDS + 1
        self._write(publish_packet(self._branch + stream.encode(), self._next, payload, correlation))

    def _write(self, packet: bytes) -> None:
        if not self._held:
            asyncio.get_running_loop().call_soon(self._flush)
        self._held.append(packet)

    def _flush(self) -> None:
        if self._held:
            packets, self._held = self._held, []
            self._writer.write(b"".join(packets))

    async def drain(self) -> None:
        """Wait until the socket has room."""
        self._flush()
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        held = b""
        with contextlib.suppress(OSError):
            while chunk := await reader.read(READ_BYTES):
                packets = split(held + chunk)
                held = (held + chunk)[packets.consumed :]
                if packets.control and not self._subscribed.is_set() and bytes((SUBACK,)) in packets.control:
                    self._subscribed.set()
                for _, reason in packets.acknowledged:
                    if reason >= 0x80:
                        self.rejected[reason] = self.rejected.get(reason, 0) + 1
                for one in packets.publishes:
                    if one.packet_id:
                        self._write(PUBACK + one.packet_id)
                    self._take(one.topic, one.payload)

    def _take(self, topic: bytes, payload: bytes) -> None:
        if topic == self._receipts:
            for receipt in decode_receipts(payload).receipts:
                if receipt.kind == "correlation":
                    self._listener.receipted(handle(receipt.correlation))
        elif topic == self._errors:
            error = decode_error(payload)
            if error.correlation and error.severity == "error":
                self._listener.refused(handle(error.correlation), error.code)


def handle(text: str) -> bytes:
    """Read correlation data back from a receipt or an error (RFC 4648, section 5, without padding)."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


Dial = Callable[[DeviceCredential, Listener], Session]
"""Makes a session of a device."""
