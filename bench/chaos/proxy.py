"""A TCP proxy between two parts, which can cut their connection or slow it down.

Kafka's clients ask a broker for its address and then go there by themselves; so its address *is* the proxy, and whose connection
it is shows in the login: SCRAM names the user in clear, and between the platform's own processes there is no TLS.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

CHUNK_BYTES = 64 * 1024
STOP_POLL_SECONDS = 0.01
NO_LINGER = struct.pack("ii", 1, 0)
SCRAM_USER = re.compile(rb"n,,n=([^,]+),r=")


@dataclass(eq=False)
class _Pair:
    """One connection and its continuation."""

    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    link: str

    def abort(self) -> None:
        for writer in self.writers:
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a broken network does, not as somebody who has said all."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    writer.transport.abort()


@dataclass
class Proxy:
    """Listens on one port of this machine and passes on to another.

    Attributes:
        port: where it listens.
        target: where it passes on to.
        server: what is there, the second half of a link's name.
        client: who comes, the first half; empty to read it from the login.
        suffix: what a name read from the login is given behind it, ``-2`` where only second ones come.
    """

    port: int
    target: int
    server: str
    client: str = ""
    suffix: str = ""
    _cut: set[str] = field(default_factory=set)
    _delays: dict[str, float] = field(default_factory=dict)
    _pairs: set[_Pair] = field(default_factory=set)
    _touched: defaultdict[str, set[object]] = field(default_factory=lambda: defaultdict(set))
    _open: int = 0
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, limit=CHUNK_BYTES)

    async def stop(self) -> None:
        """End all connections, also those that are just being made."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        while self._open:  # the tasks of the connections end by themselves
            for pair in list(self._pairs):
                pair.abort()
            await asyncio.sleep(STOP_POLL_SECONDS)
        if server is not None:
            await server.wait_closed()

    def link_of(self, client: str) -> str:
        """Name the link between a client and the server."""
        return f"{client}{self.suffix}-{self.server}"

    def carries(self, link: str) -> bool:
        """Tell whether a link runs through it."""
        client, _, server = link.rpartition("-")
        second = client.endswith("-2") == bool(self.suffix)
        return server == self.server and (client == self.client if self.client else second)

    def cut(self, link: str) -> None:
        """Reset a link's connections, and every new one until ``mend``."""
        self._touched[link].clear()
        self._cut.add(link)
        for pair in list(self._pairs):
            if pair.link == link:
                self._abort(pair)

    def slow(self, link: str, delay: float) -> None:
        """Hold back each piece that a link carries by so many seconds, until ``mend``."""
        self._touched[link].clear()
        self._delays[link] = delay

    def mend(self, link: str) -> None:
        """Let a link work as if nothing had been."""
        self._cut.discard(link)
        self._delays.pop(link, None)

    def touched(self, link: str) -> int:
        """Count the connections that the last ``cut`` reset or refused, or of which the last ``slow`` held back a piece.

        A connection that the server would not have taken anyway is not counted.
        """
        return len(self._touched[link])

    def _abort(self, pair: _Pair) -> None:
        self._touched[pair.link].add(pair)
        pair.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            await self._carry(reader, writer)
        finally:
            self._open -= 1

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, onto = await asyncio.open_connection("127.0.0.1", self.target, limit=CHUNK_BYTES)
        except OSError:
            _reset(writer)
            return
        pair = _Pair((writer, onto), self.link_of(self.client) if self.client else "")
        if self._server is None:
            pair.abort()
            return
        if pair.link in self._cut:
            self._abort(pair)
            return
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pass_on(pair, reader, onto), self._pass_on(pair, there, writer))
        finally:
            self._pairs.discard(pair)
            for one in pair.writers:
                one.close()

    async def _pass_on(self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK_BYTES):
                if not pair.link and (login := SCRAM_USER.search(data)):
                    pair.link = self.link_of(login[1].decode())
                    if pair.link in self._cut:
                        self._abort(pair)
                        return
                if delay := self._delays.get(pair.link):
                    self._touched[pair.link].add(pair)
                    await asyncio.sleep(delay)
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            pair.abort()


@dataclass(frozen=True)
class Link:
    """A connection between two parts, which may run through several proxies.

    Attributes:
        name: as ``store-postgres``.
        proxies: those it may run through, at least one.
    """

    name: str
    proxies: Sequence[Proxy]

    def cut(self) -> None:
        """Reset its connections, and every new one until ``mend``."""
        for proxy in self.proxies:
            proxy.cut(self.name)

    def slow(self, delay: float) -> None:
        """Hold back each piece that it carries by so many seconds, until ``mend``."""
        for proxy in self.proxies:
            proxy.slow(self.name, delay)

    def mend(self) -> None:
        """Let it work as if nothing had been."""
        for proxy in self.proxies:
            proxy.mend(self.name)

    @property
    def touched(self) -> int:
        """How many connections the last ``cut`` reset or refused, or the last ``slow`` held back."""
        return sum(proxy.touched(self.name) for proxy in self.proxies)
