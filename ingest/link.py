"""The connection to the broker as asyncio carries it, TLS included, with paho's end of it.

asyncio feeds TLS from whole reads of the socket (a memory BIO), so that a record for each MQTT packet, which is what mosquitto
writes, costs no system call of its own; and nothing can stay behind unseen in a TLS buffer.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from ingest.packets import PINGREQ_PACKET, MalformedPacket, Packets, split

BUFFER_BYTES = 256 * 1024
MAX_PACKET_BYTES = 8 * 1024 * 1024
"""Told to the broker (MQTT 5 Maximum Packet Size): the buffer never grows beyond. Deployments set the broker's own limit lower,
so that a device is refused to its face."""


class Listener(Protocol):
    """What the connection tells."""

    def packets_received(self, packets: Packets, size: int) -> None:
        """Whole packets came, in so many bytes. ``MalformedPacket`` closes the connection."""

    def link_lost(self) -> None:
        """Take note that the connection is gone."""


class Link(asyncio.BufferedProtocol):
    """One connection, from accepted to lost."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(BUFFER_BYTES)
        self._filled = 0
        self._wanted = 0
        self._outgoing: list[bytes] = []
        self._paused = False
        self.heard_at = self._loop.time()
        self.lost: asyncio.Future[str] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give asyncio the free part of the buffer."""
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take the buffer apart; what is left of it is the beginning of a packet."""
        self.heard_at = self._loop.time()
        self._filled += nbytes
        if self._filled < self._wanted:
            return
        try:
            with memoryview(self._buffer) as view:
                packets = split(bytes(view[: self._filled]))
            self._keep_rest(packets)
            self._listener.packets_received(packets, nbytes)
        except MalformedPacket as error:
            self.abort(str(error))

    def _keep_rest(self, packets: Packets) -> None:
        rest = self._buffer[packets.consumed : self._filled]
        self._filled, self._wanted = len(rest), packets.wanted
        size = max(packets.wanted, BUFFER_BYTES)
        if size > MAX_PACKET_BYTES + BUFFER_BYTES:
            raise MalformedPacket("a packet larger than the broker was told to send")
        # Never resized in place: asyncio may still hold a view of it.
        if size != len(self._buffer):
            self._buffer = bytearray(size)
        self._buffer[: self._filled] = rest

    def eof_received(self) -> None:
        """Close our side as the broker closed its own."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if not self.lost.done():
            self.lost.set_result("closed by the broker" if exc is None else type(exc).__name__)
            self._listener.link_lost()

    def write(self, data: bytes) -> None:
        """Send bytes; whatever is written in one turn of the loop leaves together."""
        if not self._outgoing:
            self._loop.call_soon(self.flush)
        self._outgoing.append(data)

    def flush(self) -> None:
        """Hand to the transport what was written."""
        if self._outgoing and self._transport is not None and not self.lost.done():
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def pause(self) -> None:
        """Stop reading: the broker keeps what it has for us."""
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused and self._transport is not None:
            self._paused = False
            self.heard_at = self._loop.time()
            self._transport.resume_reading()

    def is_silent(self, seconds: float) -> bool:
        """Tell whether we read and have heard nothing for so long; a broker that we do not listen to is not silent."""
        return not self._paused and self._loop.time() - self.heard_at > seconds

    def beat(self, keepalive: float) -> None:
        """Show that we live, and judge whether the broker does.

        paho's own judgement counts the bytes that paho read, which are few here, and would take a pause in reading for a dead
        broker.

        Args:
            keepalive: seconds told to the broker; to be called at least twice in that time.
        """
        if self.is_silent(1.5 * keepalive):
            self.abort("silent for longer than the keepalive")
        else:
            self.write(PINGREQ_PACKET)

    def close(self) -> None:
        """Close once everything written has left."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self, reason: str) -> None:
        """Close at once.

        Args:
            reason: why, for the log.
        """
        if self._transport is not None:
            self._transport.abort()
        if not self.lost.done():
            self.lost.set_result(reason)
            self._listener.link_lost()


class ControlSocket:
    """What paho takes for its socket: it reads the packets that were left for it and writes into the link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._unread = bytearray()

    def feed(self, data: bytes) -> None:
        """Give paho packets to read."""
        self._unread += data

    def __len__(self) -> int:
        """Count the bytes paho has not read."""
        return len(self._unread)

    def recv(self, buffer_size: int) -> bytes:
        """Read like a non-blocking socket.

        Raises:
            BlockingIOError: when there is nothing.
        """
        if not self._unread:
            raise BlockingIOError
        data = bytes(self._unread[:buffer_size])
        del self._unread[:buffer_size]
        return data

    def send(self, buffer: bytes | bytearray) -> int:
        """Write everything."""
        self._link.write(bytes(buffer))
        return len(buffer)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def fileno(self) -> int:
        """There is no descriptor: asyncio waits for us."""
        return -1

    def setblocking(self, flag: bool) -> None:
        """Nothing here ever blocks."""
