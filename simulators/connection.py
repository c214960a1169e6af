"""One MQTT session of one device: paho-mqtt on an asyncio loop, without a thread of its own.

paho's own loops need a thread a device; hundreds of devices in a process share one event loop instead. A session that ends is
thrown away, its state with it: what must survive lives in the device's outbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt.client import (
    MQTT_CLEAN_START_FIRST_ONLY,
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    MQTTv5,
    MQTTv311,
)
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts.mqtt import ERRORS, RECEIPTS, down_topic, up_topic
from simulators.patients import DeviceCredential

KEEPALIVE_SECONDS = 60
CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is.

    Attributes:
        host: name that the broker's certificate carries, or address.
        port: of MQTT over TLS.
        ca_file: certificate authority that signed the broker's certificate.
    """

    host: str
    port: int
    ca_file: Path

    def tls(self) -> ssl.SSLContext:
        """Make a TLS context, to be shared by all devices.

        Raises:
            OSError: when the file cannot be read or holds no certificate.
        """
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a session tells the device; called on the event loop.

    Attributes:
        receipts: a payload on ``down/receipts``.
        error: a payload on ``down/errors``.
        acknowledged: the broker's answer to a publish: its number, and why it refused or None.
        lost: the session ended without being asked to.
    """

    receipts: Callable[[bytes], None]
    error: Callable[[bytes], None]
    acknowledged: Callable[[int, ReasonCode | None], None]
    lost: Callable[[], None]


class Connection:
    """One session, from connecting until it ends.

    Args:
        address: the broker.
        tls: from ``BrokerAddress.tls``.
        credential: whose device.
        hooks: what to call.
        mqtt5: speak MQTT 5, else 3.1.1.
    """

    def __init__(
        self, address: BrokerAddress, tls: ssl.SSLContext, credential: DeviceCredential, hooks: Hooks, mqtt5: bool = True
    ) -> None:
        self._address = address
        self._credential = credential
        self._hooks = hooks
        self._mqtt5 = mqtt5
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._topic = up_topic(credential.org, credential.device)
        self._receipts_topic = down_topic(credential.org, credential.device, RECEIPTS)
        self._errors_topic = down_topic(credential.org, credential.device, ERRORS)
        self._watched: socket.socket | None = None
        self._open = False
        self._client = self._make_client(tls)

    def _make_client(self, tls: ssl.SSLContext) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._credential.key,
            protocol=MQTTv5 if self._mqtt5 else MQTTv311,
            reconnect_on_failure=False,
            clean_session=None if self._mqtt5 else True,
        )
        client.connect_timeout = CONNECT_SECONDS
        client.username_pw_set(self._credential.key, self._credential.password)
        client.tls_set_context(tls)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        return client

    async def open(self) -> None:
        """Connect, log in and subscribe.

        Raises:
            OSError: when the broker does not answer, its certificate is not trusted, or it refuses the device
                (``PermissionError``).
        """
        connecting = asyncio.ensure_future(asyncio.to_thread(self._connect))
        try:
            await asyncio.shield(connecting)
            self._watch()
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._ready
            self._open = True
        except BaseException:
            # A thread cannot be cancelled: wait for its socket, so that it is closed.
            with contextlib.suppress(OSError):
                await connecting
            self.close()
            raise

    def _connect(self) -> None:
        # MQTT 3.1.1 knows clean sessions only, which the client was made with.
        clean_start = True if self._mqtt5 else MQTT_CLEAN_START_FIRST_ONLY
        self._client.connect(self._address.host, self._address.port, KEEPALIVE_SECONDS, clean_start=clean_start)

    def _watch(self) -> None:
        self._watched = self._client.socket()  # type: ignore[assignment]
        if self._watched is None:
            raise ConnectionResetError("the broker closed the connection")
        self._loop.add_reader(self._watched, self._readable)
        self._flush()

    def _readable(self) -> None:
        """Read all there is: TLS may hold back whole packets that the socket no longer reports."""
        while self._client.loop_read() == 0:
            sock = self._client.socket()
            if not isinstance(sock, ssl.SSLSocket) or sock.pending() == 0:
                return

    def _flush(self) -> None:
        """Write what is waiting; what the socket does not take now goes when it can."""
        self._client.loop_write()
        if self._watched is not None and self._client.want_write():
            self._loop.add_writer(self._watched, self._client.loop_write)

    def publish(self, payload: bytes, correlation: bytes | None) -> int:
        """Publish on the device's data topic with QoS 1.

        Args:
            payload: the message.
            correlation: MQTT 5 correlation data; ignored without MQTT 5.

        Returns:
            A number that ``Hooks.acknowledged`` will name.
        """
        properties: Properties | None = None
        if self._mqtt5 and correlation is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.CorrelationData = correlation
        return self._client.publish(self._topic, payload, qos=1, properties=properties).mid

    def tick(self) -> None:
        """Keep the session alive; to be called about once a second."""
        self._client.loop_misc()

    def close(self) -> None:
        """End the session. ``Hooks.lost`` is not called."""
        self._open = False
        if self._client.is_connected():
            self._client.disconnect()
            self._client.loop_write()
        self._unwatch()
        sock = self._client.socket()
        if sock is not None:
            sock.close()
        if not self._ready.done():
            self._ready.cancel()

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._loop.remove_reader(self._watched)
            self._loop.remove_writer(self._watched)
            self._watched = None

    def _fail(self, reason: OSError) -> None:
        if not self._ready.done():
            self._ready.set_exception(reason)
        elif self._open:
            self._hooks.lost()

    def _on_connect(
        self, client: Client, _userdata: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._fail(PermissionError(f"the broker refuses {self._credential.key}: {reason}"))
            return
        # QoS 0 loses a receipt no sooner than QoS 1 in a session that ends with its connection, and a lost one is made good by
        # sending again; it spares a packet for each receipt.
        client.subscribe([(self._receipts_topic, 0), (self._errors_topic, 1)])

    def _on_subscribe(
        self, _client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._fail(PermissionError(f"the broker refuses {self._credential.key} its own down topics"))
        elif not self._ready.done():
            self._ready.set_result(None)

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        if message.topic == self._receipts_topic:
            self._hooks.receipts(bytes(message.payload))
        elif message.topic == self._errors_topic:
            self._hooks.error(bytes(message.payload))

    def _on_publish(
        self, _client: Client, _userdata: object, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._hooks.acknowledged(mid, reason if reason.is_failure else None)

    def _on_disconnect(
        self, _client: Client, _userdata: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._fail(ConnectionResetError(f"the connection ended: {reason}"))

    def _on_socket_close(self, _client: Client, _userdata: object, _sock: object) -> None:
        self._unwatch()

    def _on_register_write(self, _client: Client, _userdata: object, _sock: object) -> None:
        # While connecting, in the other thread, nothing is watched yet; `_watch` writes what was waiting. Later nearly every
        # write succeeds at once, so asking the loop first would only cost.
        if self._watched is not None:
            self._loop.call_soon(self._flush)

    def _on_unregister_write(self, _client: Client, _userdata: object, _sock: object) -> None:
        if self._watched is not None:
            self._loop.remove_writer(self._watched)
