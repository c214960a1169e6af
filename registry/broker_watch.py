"""What the MQTT broker drops: past the bound of a client's queue it does so after its PUBACK, and only its statistics tell.

A session of its own, not the bridge's: the bridge reads nothing while Kafka is away, which is when queues fill.
"""

from __future__ import annotations

import asyncio
import ssl

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from registry import events
from registry.settings import KeeperSettings

DROPPED = "$SYS/broker/publish/messages/dropped"
HELD = "$SYS/broker/store/messages/count"
KEEPALIVE_SECONDS = 20


class Drops:
    """Tells what is new in a count that begins anew with each start of the broker; pure."""

    def __init__(self) -> None:
        self._total = 0

    def take(self, total: int) -> int:
        """Take in the broker's count.

        Args:
            total: dropped since the broker's start.

        Returns:
            Dropped since the last call; at the first one, since the broker's start, so that nothing is missed by a keeper that
            has just begun to lead.
        """
        new = total - self._total if total >= self._total else total
        self._total = total
        return new


class BrokerWatch:
    """Watches the broker's statistics as long as this keeper leads."""

    def __init__(self, settings: KeeperSettings) -> None:
        self._settings = settings
        self._drops = Drops()

    async def run(self) -> None:
        """Watch until the connection is lost.

        Raises:
            OSError: the broker does not answer, or refuses the account.
        """
        if not self._settings.broker_username:
            await asyncio.Event().wait()
        loop = asyncio.get_running_loop()
        said: asyncio.Queue[tuple[str, bytes] | OSError] = asyncio.Queue()
        client = self._client(loop, said)
        try:
            await asyncio.to_thread(
                client.connect, self._settings.broker_host, self._settings.broker_port, KEEPALIVE_SECONDS, clean_start=True
            )
            client.loop_start()
            while True:
                heard = await said.get()
                if isinstance(heard, OSError):
                    raise heard
                self._hear(*heard)
        finally:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    def _client(self, loop: asyncio.AbstractEventLoop, said: asyncio.Queue[tuple[str, bytes] | OSError]) -> Client:
        """Make paho's client, whose thread hands everything to the loop."""

        def connected(
            client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
        ) -> None:
            if not reason.is_failure:
                client.subscribe([(DROPPED, 0), (HELD, 0)])

        def lost(
            _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
        ) -> None:
            loop.call_soon_threadsafe(said.put_nowait, ConnectionError(str(reason)))

        def heard(_client: Client, _data: object, message: MQTTMessage) -> None:
            loop.call_soon_threadsafe(said.put_nowait, (message.topic, bytes(message.payload)))

        settings = self._settings
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=settings.broker_username, protocol=MQTTv5, reconnect_on_failure=False
        )
        client.username_pw_set(settings.broker_username, settings.broker_password.get_secret_value())
        client.tls_set_context(ssl.create_default_context(cafile=settings.broker_ca_file or None))
        client.on_connect, client.on_disconnect, client.on_message = connected, lost, heard
        return client

    def _hear(self, topic: str, payload: bytes) -> None:
        try:
            count = int(payload)
        except ValueError:
            return
        if topic == HELD:
            events.BROKER_HELD.set(count)
            return
        new = self._drops.take(count)
        if new:
            events.BROKER_DROPPED.emit(new)
