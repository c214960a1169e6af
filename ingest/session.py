"""The MQTT 5 session with the broker: paho logs in, subscribes and takes leave; asyncio carries; the hot path goes by it."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Protocol

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from contracts.mqtt import PRESENCE, UP_FILTER
from ingest import events
from ingest.link import MAX_PACKET_BYTES, ControlSocket, Link
from ingest.packets import Packets, beat_packet
from ingest.settings import IngestSettings
from ingest.standby import BEAT_SECONDS, Standby
from runtime.settings import MqttSettings

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike

CONNECT_SECONDS = 10.0
"""For a connection; and then for each sign of life until the subscription stands. A broker that goes on with a session sends what
it holds first, 20,000 messages at most; given up in the middle of them, it would begin with them again, and so for ever."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 5.0
TAKEN_OVER = "Session taken over"
TAKEN_OVER_WAIT_SECONDS = 30.0
"""After another client of our name took the session, where nobody can stand by: two that snatch it to and fro only hinder."""
BEAT = beat_packet(PRESENCE.encode())
RECEIVE_MAXIMUM_DEFAULT = 65_535
"""What a broker allows that does not say (MQTT 5, 3.2.2.3.3)."""


class Traffic(Protocol):
    """Who lives from the session."""

    def packets_received(self, packets: Packets, size: int) -> None:
        """Messages and acknowledgements came."""

    def session_opened(self, receive_maximum: int) -> None:
        """Take note that the session is up; the broker allows so many publishes at a time."""

    def session_closed(self) -> None:
        """Take note that the session is gone."""

    async def session_yielded(self) -> None:
        """Take note that another bridge has the session, and hold nothing that is its."""


class PahoOnLink(Client):
    """paho's client with our connection in place of its socket; ``_create_socket`` is where it makes its own."""

    control: ControlSocket

    def _create_socket(self) -> SocketLike:
        return self.control


class Session:
    """Keeps one session with a fixed client id, over as many connections as it takes.

    Attributes:
        number: counts the connections; an acknowledgement is good only on the one its message came on.
    """

    def __init__(self, mqtt: MqttSettings, settings: IngestSettings, traffic: Traffic) -> None:
        self.number = 0
        self._mqtt = mqtt
        self._settings = settings
        self._traffic = traffic
        self._tls = ssl.create_default_context(cafile=mqtt.ca_file)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._client = self._make_client()
        self._standby = Standby(mqtt, settings)
        self._link: Link | None = None
        self._ready: asyncio.Future[ReasonCode | None] | None = None
        self._open = False
        self._accepted = False
        self._session_present = False
        self._receive_maximum = RECEIVE_MAXIMUM_DEFAULT
        self._said = ""

    def _make_client(self) -> PahoOnLink:
        client = PahoOnLink(
            CallbackAPIVersion.VERSION2, client_id=self._settings.client_id, protocol=MQTTv5, reconnect_on_failure=False
        )
        client.username_pw_set(self._mqtt.username, self._mqtt.password.get_secret_value())
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        return client

    async def run(self) -> None:
        """Connect, and connect again, until cancelled; stand by while another bridge has the session."""
        if self._settings.standby:
            await self._standby.wait()
        wait = FIRST_WAIT_SECONDS
        while True:
            reason = await self._once()
            if reason is None:
                wait = FIRST_WAIT_SECONDS
            else:
                events.CONNECT_FAILED.emit(reason=reason)
            if await self._is_taken_over(lost=reason is None):
                await self._traffic.session_yielded()
                await (self._standby.wait() if self._standby.is_possible else asyncio.sleep(TAKEN_OVER_WAIT_SECONDS))
                continue
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)

    async def _is_taken_over(self, lost: bool) -> bool:
        """Find out whether another bridge has the session; a connection that never came to be says nothing about it."""
        if self._standby.is_possible:
            return lost and await self._standby.is_needed()
        return self._said == TAKEN_OVER

    async def _connect(self) -> Link:
        loop, socket = asyncio.get_running_loop(), self._settings.broker_socket
        if socket is not None:
            try:
                return (await loop.create_unix_connection(lambda: Link(self), str(socket)))[1]
            except OSError as error:  # of another machine, another account or a broker that stopped: there is the long way
                events.SOCKET_MISSED.emit(reason=type(error).__name__, path=str(socket))
        host = self._mqtt.host
        connecting = loop.create_connection(lambda: Link(self), host, self._mqtt.port, ssl=self._tls, server_hostname=host)
        return (await connecting)[1]

    async def _once(self) -> str | None:
        """Live through one connection.

        Returns:
            Why it never came to be, or None for one that was up.
        """
        self._said = ""
        self.number += 1  # before the first packet: on a session that goes on, messages follow CONNACK at once
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                self._link = link = await self._connect()
            refused = await self._log_in(link)
        except (OSError, TimeoutError) as error:
            if self._link is not None:
                self._link.abort("not logged in")
            return type(error).__name__
        if refused is not None:
            link.abort(refused)
            return refused
        self._open = True
        events.CONNECTED.emit(session_present=self._session_present)
        self._traffic.session_opened(self._receive_maximum)
        await self._stay(link)
        return None

    async def _log_in(self, link: Link) -> str | None:
        """Send CONNECT and SUBSCRIBE; give the broker's reason where it refuses.

        Raises:
            TimeoutError: the broker fell silent.
        """
        self._ready, self._accepted = asyncio.get_running_loop().create_future(), False
        self._client.control = ControlSocket(link)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._settings.session_expiry_seconds
        properties.ReceiveMaximum = self._settings.receive_maximum
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        keepalive = self._settings.keepalive_seconds
        self._client.connect(self._mqtt.host, self._mqtt.port, keepalive, clean_start=False, properties=properties)
        either: set[asyncio.Future[Any]] = {self._ready, link.lost}
        while not (await asyncio.wait(either, timeout=BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED))[0]:
            if link.is_silent(CONNECT_SECONDS):
                raise TimeoutError
            if self._accepted:  # from here on the session is ours, however long it takes until the subscription stands
                link.write(BEAT)
        if not self._ready.done():
            return self._said or link.lost.result()
        refusal = self._ready.result()
        return None if refusal is None else str(refusal)

    async def _stay(self, link: Link) -> None:
        """Keep the connection until it is lost, and tell the bridge that stands by that we do."""
        loop, keepalive = asyncio.get_running_loop(), self._settings.keepalive_seconds
        pinged_at = loop.time()
        while not link.lost.done():
            link.write(BEAT)
            await asyncio.wait({link.lost}, timeout=BEAT_SECONDS)
            if loop.time() - pinged_at >= keepalive / 2 - BEAT_SECONDS and not link.lost.done():
                pinged_at = loop.time()
                link.beat(keepalive)
        events.DISCONNECTED.emit(reason=self._said or link.lost.result())

    def packets_received(self, packets: Packets, size: int) -> None:
        """Hand on what came: the platform's part first, then paho's."""
        if packets.publishes or packets.acknowledged:
            self._traffic.packets_received(packets, size)
        if packets.control:
            control = self._client.control
            control.feed(packets.control)
            while len(control) and self._client.loop_read() == 0:
                pass
            self._client.loop_write()

    def link_lost(self) -> None:
        """Take note that the connection is gone; what paho holds of it is void."""
        if self._open:
            self._open = False
            self._traffic.session_closed()

    @property
    def is_open(self) -> bool:
        """Whether the session is up."""
        return self._open

    def write(self, data: bytes) -> None:
        """Send bytes on the present connection; without one they are lost, as they would be on the way."""
        if self._link is not None:
            self._link.write(data)

    def pause(self) -> None:
        """Read no further."""
        if self._link is not None:
            self._link.pause()

    def resume(self) -> None:
        """Read on."""
        if self._link is not None:
            self._link.resume()

    async def leave(self) -> None:
        """Disconnect; the broker keeps the session."""
        if self._link is None or not self._open:
            return
        self._link.flush()
        self._client.disconnect()
        self._client.loop_write()
        self._link.close()
        await asyncio.wait({self._link.lost}, timeout=1.0)

    def _on_connect(
        self, client: Client, _userdata: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._settle(reason)
            return
        self._accepted = True
        self._session_present = flags.session_present
        self._receive_maximum = getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM_DEFAULT)
        # Retained messages were delivered when they were new; a subscription made again must not bring them once more.
        client.subscribe(
            UP_FILTER, options=SubscribeOptions(qos=1, noLocal=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        )

    def _on_subscribe(
        self, _client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self._settle(next((reason for reason in reasons if reason.is_failure), None))

    def _on_disconnect(
        self, _client: Client, _userdata: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._said = str(reason)

    def _settle(self, refusal: ReasonCode | None) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(refusal)
