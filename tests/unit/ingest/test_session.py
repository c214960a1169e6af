"""The bridge's session at a broker that does what a test needs: one that holds much, and one that says nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from ingest import session as under_test
from ingest.packets import Packets
from ingest.session import BEAT, Session
from ingest.settings import IngestSettings
from runtime.settings import MqttSettings

CONNECT, SUBSCRIBE = 0x10, 0x82
CONNACK = bytes([0x20, 3, 1, 0, 0])
"""Session present, accepted, no properties (MQTT 5, 3.2)."""
PUBLISH = bytes([0x32, 9, 0, 3]) + b"a/b" + bytes([0, 7, 0]) + b"x"
PATIENCE = 0.4


class Told:
    """Notes what the session says."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.messages = 0

    def packets_received(self, packets: Packets, size: int) -> None:
        self.messages += len(packets.publishes)

    def session_opened(self, receive_maximum: int) -> None:
        self.opened.set()

    def session_closed(self) -> None:
        pass

    async def session_yielded(self) -> None:
        pass


class Broker:
    """Goes on with a session of which it has much to send before it answers the subscription."""

    def __init__(self, sends_for: float, accepts: bool = True) -> None:
        self.heard = b""
        self.connections = 0
        self._served: set[asyncio.Task[None]] = set()
        self._sends_for, self._accepts = sends_for, accepts

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        listening, serving = asyncio.create_task(self._listen(reader)), asyncio.create_task(self._serve(writer))
        self._served |= {listening, serving}
        await asyncio.wait({listening})
        writer.close()

    async def end(self) -> None:
        """Wait until everybody has left."""
        for task in self._served:
            task.cancel()
        await asyncio.wait(self._served)

    async def _serve(self, writer: asyncio.StreamWriter) -> None:
        await self._until(lambda: self.heard[:1] == bytes([CONNECT]))
        if not self._accepts:
            return
        writer.write(CONNACK)
        await self._until(lambda: bytes([SUBSCRIBE]) in self.heard)
        begun = self.heard.index(bytes([SUBSCRIBE]))
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._sends_for
        while loop.time() < ends:
            writer.write(PUBLISH)
            await asyncio.sleep(PATIENCE / 8)
        writer.write(bytes([0x90, 4]) + self.heard[begun + 2 : begun + 4] + bytes([0, 1]))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(65_536):
            self.heard += data

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - the other side sets no event here
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running(broker: Broker, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Told]:
    monkeypatch.setattr(under_test, "CONNECT_SECONDS", PATIENCE)
    monkeypatch.setattr(under_test, "BEAT_SECONDS", PATIENCE / 10)
    monkeypatch.setattr("ingest.session.ssl.create_default_context", lambda cafile: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    socket = folder / "broker"
    server = await asyncio.start_unix_server(broker, str(socket))
    told = Told()
    mqtt = MqttSettings(host="nowhere", port=1, username="bridge", password=SecretStr("x"), ca_file="none")
    session = Session(mqtt, IngestSettings(broker_socket=socket), told)
    task = asyncio.create_task(session.run())
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.wait({task})
        if session._link is not None:
            session._link.abort("the test is over")
        await broker.end()
        server.close()


async def test_a_broker_that_first_sends_what_it_holds_is_waited_for_and_the_other_bridge_hears_beats_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(sends_for=4 * PATIENCE)
    async with running(broker, tmp_path, monkeypatch) as told:
        async with asyncio.timeout(10):
            while BEAT not in broker.heard:  # noqa: ASYNC110 - the other side sets no event here
                await asyncio.sleep(0.005)
        assert not told.opened.is_set(), "the beats come before the subscription stands"
        async with asyncio.timeout(10):
            await told.opened.wait()
        assert broker.connections == 1
        assert told.messages > 10


async def test_a_broker_that_says_nothing_is_given_up_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(sends_for=0.0, accepts=False)
    async with running(broker, tmp_path, monkeypatch) as told:
        async with asyncio.timeout(10):
            while broker.connections < 2:  # noqa: ASYNC110 - the other side sets no event here
                await asyncio.sleep(0.005)
        assert not told.opened.is_set()
        assert BEAT not in broker.heard
