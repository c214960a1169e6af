"""A device's or the bridge's connection, for looking at what the broker answers."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from deploy.local import mosquitto
from deploy.local.stack import Stack

SECONDS = 15
PASSWORD = "a password of its own"


def enrol(stack: Stack, *names: str) -> None:
    """Put devices into the broker's password file as the keeper writes it, and nobody else but the services."""
    path = mosquitto.password_file(stack.instance)
    services = mosquitto.service_accounts(stack.instance).read_text()
    path.write_text(services + "".join(mosquitto.password_line(name, PASSWORD) for name in names))
    os.kill(stack.pid("mosquitto"), 1)


def trust(stack: Stack) -> ssl.SSLContext:
    """What a device trusts."""
    return ssl.create_default_context(cafile=str(stack.instance.certificates / "ca.pem"))


class MqttClient:
    """Speaks MQTT 5 to the broker.

    Args:
        stack: whose broker.
        username: who; empty for nobody.
        password: as which.
        client_id: what it calls itself.
        clean: without an earlier session.
        will: topic of a last will.
    """

    def __init__(
        self, stack: Stack, username: str, password: str = PASSWORD, *, client_id: str = "", clean: bool = True, will: str = ""
    ) -> None:
        self._told = threading.Condition()
        self.welcome = ""
        self.disconnected = threading.Event()
        self.farewell = ""
        self.answers: list[str] = []
        self.subscribed: list[list[str]] = []
        self.received: list[str] = []
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or username,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        if username:
            self._client.username_pw_set(username, password)
        self._client.tls_set_context(trust(stack))
        if will:
            self._client.will_set(will, b"the last will", qos=1)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_disconnect = self._on_disconnect
        self._client.connect("localhost", stack.instance.ports.mqtt, clean_start=clean)
        self._client.loop_start()
        self.wait(lambda: bool(self.welcome))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()

    def wait(self, condition: Any) -> None:
        """Wait until the broker has said something."""
        with self._told:
            assert self._told.wait_for(condition, SECONDS), (self.welcome, self.answers, self.farewell)

    def _note(self, notes: list[Any], what: Any) -> None:
        with self._told:
            notes.append(what)
            self._told.notify_all()

    def _on_connect(self, _client: Client, _data: object, _flags: object, reason: object, _properties: object) -> None:
        with self._told:
            self.welcome = str(reason)
            self._told.notify_all()

    def _on_disconnect(self, _client: Client, _data: object, _flags: object, reason: object, _properties: object) -> None:
        with self._told:
            self.farewell = str(reason)
            self.disconnected.set()
            self._told.notify_all()

    def _on_publish(self, _client: Client, _data: object, _mid: int, reason: object, _properties: object) -> None:
        self._note(self.answers, str(reason))

    def _on_subscribe(self, _client: Client, _data: object, _mid: int, reasons: Iterable[object], _properties: object) -> None:
        self._note(self.subscribed, [str(reason) for reason in reasons])

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._note(self.received, message.topic)

    def publish(self, topic: str, payload: bytes = b"{}", *, retain: bool = False) -> str:
        """Publish with QoS 1; gives the reason in the broker's acknowledgement, or of its farewell."""
        before = len(self.answers)
        self._client.publish(topic, payload, qos=1, retain=retain)
        self.wait(lambda: len(self.answers) > before or self.disconnected.is_set())
        return self.answers[-1] if len(self.answers) > before else self.farewell

    def subscribe(self, *topics: str) -> list[str]:
        """Subscribe with QoS 1; gives the broker's answers."""
        before = len(self.subscribed)
        self._client.subscribe([(topic, 1) for topic in topics])
        self.wait(lambda: len(self.subscribed) > before or self.disconnected.is_set())
        return self.subscribed[-1] if len(self.subscribed) > before else [self.farewell]

    def vanish(self) -> None:
        """Cut the connection without a word."""
        found = self._client.socket()
        assert isinstance(found, socket.socket)
        found.shutdown(socket.SHUT_RDWR)
        assert self.disconnected.wait(SECONDS)
        self._client.loop_stop()

    def close(self) -> None:
        """Take leave."""
        self._client.disconnect()
        self._client.loop_stop()
