"""The proxy between two parts, with a real echo behind it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.chaos.proxy import Link, Proxy


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.05)  # the connections' own tasks come to their end


async def say(port: int, words: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(words)
        return await asyncio.wait_for(reader.read(1000), 5)
    finally:
        writer.transport.abort()


async def test_a_cut_link_resets_and_refuses_until_it_is_mended(echo: int) -> None:
    proxy = Proxy(free_port(), echo, "postgres", "store")
    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"before")
    assert await reader.read(1000) == b"before"
    proxy.cut("store-postgres")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1000), 5)
    writer.transport.abort()
    with pytest.raises(ConnectionResetError):
        await say(proxy.port, b"during")
    assert proxy.touched("store-postgres") == 2, "one was reset, one refused"
    proxy.mend("store-postgres")
    assert await say(proxy.port, b"after") == b"after"
    assert proxy.touched("store-postgres") == 2, "still to be read, and nothing more"
    await proxy.stop()


async def test_a_slow_link_delays_and_delivers(echo: int) -> None:
    proxy = Proxy(free_port(), echo, "postgres", "store")
    await proxy.start()
    proxy.slow("store-postgres", 0.2)
    begun = asyncio.get_running_loop().time()
    assert await say(proxy.port, b"slow") == b"slow"
    assert asyncio.get_running_loop().time() - begun >= 0.4
    assert proxy.touched("store-postgres") == 1, "one connection, however many pieces"
    await proxy.stop()


async def test_whose_connection_it_is_shows_in_the_login_and_only_his_is_cut(echo: int) -> None:
    proxy = Proxy(free_port(), echo, "kafka")
    await proxy.start()
    login = b"\x00\x00n,,n=%s,r=abc"
    proxy.cut("store-kafka")
    assert await say(proxy.port, login % b"bridge") == login % b"bridge"
    with pytest.raises(ConnectionResetError):
        await say(proxy.port, login % b"store")
    assert (proxy.touched("store-kafka"), proxy.touched("bridge-kafka")) == (1, 0)
    await proxy.stop()


async def test_what_the_server_does_not_take_anyway_is_not_refused_by_a_cut() -> None:
    proxy = Proxy(free_port(), free_port(), "postgres", "store")
    await proxy.start()
    proxy.cut("store-postgres")
    with pytest.raises(ConnectionResetError):
        await say(proxy.port, b"nobody is there")
    assert proxy.touched("store-postgres") == 0
    await proxy.stop()


async def test_a_link_through_two_proxies_is_cut_and_counted_in_both(echo: int) -> None:
    proxies = [Proxy(free_port(), echo, "mosquitto", "bridge") for _ in range(2)]
    link = Link("bridge-mosquitto", proxies)
    link.cut()
    for proxy in proxies:
        await proxy.start()
        with pytest.raises(ConnectionResetError):
            await say(proxy.port, b"during")
    assert link.touched == 2
    link.mend()
    for proxy in proxies:
        assert await say(proxy.port, b"after") == b"after"
        await proxy.stop()


async def test_a_connection_that_is_just_being_made_does_not_hold_up_the_end(echo: int, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(free_port(), echo, "postgres", "store")
    await proxy.start()
    connect, asked, go_on = asyncio.open_connection, asyncio.Event(), asyncio.Event()

    async def connect_later(*where: Any, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        asked.set()
        await go_on.wait()
        return await connect(*where, **options)

    monkeypatch.setattr(asyncio, "open_connection", connect_later)
    reader, writer = await connect("127.0.0.1", proxy.port)
    await asked.wait()
    stopping = asyncio.create_task(proxy.stop())
    await asyncio.sleep(0)  # it has closed the door
    go_on.set()
    await asyncio.wait_for(stopping, 5)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1000), 5)
    writer.transport.abort()
