"""MQTT sessions that must not go on: what waits for a client that is not measured would fill the broker."""

from __future__ import annotations

import asyncio
import ssl

from bench.chain.generator import login
from deploy.local.instance import Instance

CONNECT_SECONDS = 10.0
DISCONNECT = b"\xe0\x00"


async def forget_session(instance: Instance, name: str, password: str) -> None:
    """Have the broker drop an account's session with all that waits in it: by a clean start that ends at once.

    Args:
        instance: whose broker.
        name: the account, and its client id.
        password: its password.
    """
    tls = ssl.create_default_context(cafile=str(instance.certificates / "ca.pem"))
    async with asyncio.timeout(CONNECT_SECONDS):
        reader, writer = await asyncio.open_connection("localhost", instance.ports.mqtt, ssl=tls)
        writer.write(login(name, password))
        await reader.readexactly(4)
        writer.write(DISCONNECT)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
