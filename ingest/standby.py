"""A second bridge stands by: it listens for the first one's beats and takes the session over once they stay away.

The broker itself sees to it that only one has the session: a second client of the same name ends the first one's connection
(MQTT 5, 3.1.4). So there is nothing to vote on: whoever connects last is active. But not every broker tells the first one why
(mosquitto 2.0.11 closes without a word), so whoever lost its connection listens before it connects again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from uuid import uuid4

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts.mqtt import PRESENCE
from ingest import events
from ingest.settings import IngestSettings
from runtime.settings import MqttSettings

BEAT_SECONDS = 0.5
"""How often the active bridge beats."""
LISTEN_SECONDS = 3 * BEAT_SECONDS
"""How long one that lost its connection listens for another."""
PATIENCE_SECONDS = 10.0
"""After which it connects again although it could not listen."""
LOOK_SECONDS = 0.05
KEEPALIVE_SECONDS = 5
RECONNECT_SECONDS = 3
"""Longer than one listens: an account has one connection, so two bridges that listen at once push each other out. Who stands by
listens longer, and so must stay away longer: two that come back sooner never hear a silence that is long enough, and nobody is
active."""


class Silence:
    """Counts how long the other bridge has been silent, only while we could have heard it; pure.

    Attributes:
        beats: how many were heard.
    """

    def __init__(self) -> None:
        self.beats = 0
        self._since: float | None = None

    def listening(self, now: float) -> None:
        """Take note that we hear from now on.

        Args:
            now: seconds of a clock that is never set.
        """
        self._since = now

    def beat(self, now: float) -> None:
        """Take note of a beat."""
        self.beats += 1
        self._since = now

    def deaf(self) -> None:
        """Take note that we hear nothing: a broker that is away says nothing about the other bridge."""
        self._since = None

    def lasts(self, seconds: float, now: float) -> bool:
        """Tell whether it has lasted so long."""
        return self._since is not None and now - self._since > seconds


class Standby:
    """Listens with an account of its own, since the bridge's would end the active bridge's session."""

    def __init__(self, mqtt: MqttSettings, settings: IngestSettings) -> None:
        self._mqtt = mqtt
        self._settings = settings
        self._loop = asyncio.get_running_loop()

    @property
    def is_possible(self) -> bool:
        """Whether there is an account to listen with."""
        return bool(self._settings.standby_username)

    async def is_needed(self) -> bool:
        """Tell whether another bridge is active; for one that lost its connection."""
        deadline = self._loop.time() + PATIENCE_SECONDS
        async with self._listen(RECONNECT_SECONDS) as silence:
            while not silence.beats and not silence.lasts(LISTEN_SECONDS, self._loop.time()):
                if self._loop.time() > deadline:
                    return False
                await asyncio.sleep(LOOK_SECONDS)
            return silence.beats > 0

    async def wait(self) -> None:
        """Return once the active bridge was silent for ``standby_after_seconds``."""
        after = self._settings.standby_after_seconds
        events.STANDING_BY.emit(after_seconds=after)
        async with self._listen(max(RECONNECT_SECONDS, ceil(after) + 1)) as silence:
            while not silence.lasts(after, self._loop.time()):  # noqa: ASYNC110 - the present changes without an event
                await asyncio.sleep(LOOK_SECONDS)
        events.TAKING_OVER.emit()

    @asynccontextmanager
    async def _listen(self, reconnect_seconds: int) -> AsyncIterator[Silence]:
        silence = Silence()
        client = self._client(silence)
        client.reconnect_delay_set(reconnect_seconds, reconnect_seconds)
        client.connect_async(self._mqtt.host, self._mqtt.port, KEEPALIVE_SECONDS)
        client.loop_start()
        try:
            yield silence
        finally:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    def _client(self, silence: Silence) -> Client:
        """Make a client as paho comes, in a thread of its own: two messages a second need no hot path."""

        def on_connect(
            client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
        ) -> None:
            if reason.is_failure:
                events.CONNECT_FAILED.emit(reason=f"standing by: {reason}")
            else:
                client.subscribe(PRESENCE, qos=0)

        def on_subscribe(
            _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
        ) -> None:
            if any(reason.is_failure for reason in reasons):
                # Without the right to listen silence says nothing; to take over would only snatch the session to and fro.
                events.CONNECT_FAILED.emit(reason=f"standing by: {', '.join(map(str, reasons))}")
            else:
                silence.listening(self._loop.time())

        def on_message(_client: Client, _data: object, _message: MQTTMessage) -> None:
            silence.beat(self._loop.time())

        def on_disconnect(
            _client: Client, _data: object, _flags: DisconnectFlags, _reason: ReasonCode, _properties: Properties | None
        ) -> None:
            silence.deaf()

        client = Client(CallbackAPIVersion.VERSION2, client_id=f"{self._settings.standby_username}-{uuid4()}", protocol=MQTTv5)
        client.username_pw_set(self._settings.standby_username, self._settings.standby_password.get_secret_value())
        client.tls_set(self._mqtt.ca_file)
        client.on_connect, client.on_subscribe = on_connect, on_subscribe
        client.on_message, client.on_disconnect = on_message, on_disconnect
        return client
