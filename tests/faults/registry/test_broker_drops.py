"""A queue of the broker runs over after its PUBACKs: what is lost is counted and told, and only to devices without receipts."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from contracts.mqtt import UP_FILTER, up_topic
from deploy.local.stack import Stack
from registry import devices
from registry.outbox import Database
from tests.support.keeping import ORG, Keeper, until

BOUND = 20
SENT = 50


@contextmanager
def connected(
    env: Mapping[str, str], user: str, password: str, expiry: int = 0, heard: Callable[[bytes], None] = lambda payload: None
) -> Iterator[Client]:
    """A client, let in, that hands on what it hears; its session stays for so many seconds."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=user, protocol=MQTTv5)
    client.username_pw_set(user, password)
    client.tls_set_context(ssl.create_default_context(cafile=env["AGORA_MQTT_CA_FILE"]))
    welcome = threading.Event()
    client.on_connect = lambda *_: welcome.set()
    client.on_message = lambda _client, _data, message: heard(bytes(message.payload))
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = expiry
    client.connect("localhost", int(env["AGORA_MQTT_PORT"]), clean_start=False, properties=properties)
    client.loop_start()
    try:
        assert welcome.wait(10)
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def small_queues(stack: Stack) -> Iterator[None]:
    """Have the broker keep few messages for a client that is away; it learns that at its start only."""
    configuration = stack.instance.config / "mosquitto.conf"
    before = configuration.read_text()
    stack.stop_process("mosquitto")
    configuration.write_text(re.sub(r"max_queued_messages \d+", f"max_queued_messages {BOUND}", before))
    stack.start_server("mosquitto")
    try:
        yield
    finally:
        stack.stop_process("mosquitto")
        configuration.write_text(before)
        stack.start_server("mosquitto")


def bridge_session(stack: Stack, heard: Callable[[bytes], None] = lambda payload: None) -> AbstractContextManager[Client]:
    """Be the bridge, whose session stays when it is away."""
    env = stack.settings("bridge")
    return connected(env, env["AGORA_MQTT_USERNAME"], env["AGORA_MQTT_PASSWORD"], 3600, heard)


def test_what_the_broker_drops_after_its_acknowledgement_is_counted_and_alarmed(
    stack: Stack, operator: Database, tmp_path: Path
) -> None:
    key = devices.enrol(operator, ORG, "flooding", "agora-oximeter")
    with small_queues(stack), Keeper(stack, tmp_path / "keeper.log", 1) as keeper:
        keeper.wait_leading()
        assert list(devices.wait_settled(operator, [f"{ORG}/flooding"], 20))[-1] == 0
        with bridge_session(stack) as bridge:
            subscribed = threading.Event()
            bridge.on_subscribe = lambda *_: subscribed.set()
            bridge.subscribe(UP_FILTER, 1)
            assert subscribed.wait(10)
        with connected(stack.settings("bridge"), f"{ORG}/flooding", key.password) as device:
            for number in range(SENT):
                sent = device.publish(up_topic(ORG, "flooding"), b"%d" % number, 1)
            sent.wait_for_publish(10)
            assert sent.is_published(), "the broker acknowledged every one of them"
        until(lambda: (keeper.metric("agora_keeper_broker_messages_dropped_total") or 0) >= SENT - BOUND, 30)
        assert keeper.metric("agora_keeper_broker_messages_dropped_total") == SENT - BOUND
        (told,) = keeper.events("keeper.broker_messages_dropped")
        assert (told["level"], told["amount"]) == ("error", SENT - BOUND)
        until(lambda: (keeper.metric("agora_keeper_broker_messages_held") or 0) >= BOUND, 30)
        got: list[bytes] = []
        with bridge_session(stack, got.append):
            until(lambda: len(got) >= BOUND)
        assert got == [b"%d" % number for number in range(BOUND)], "those within the bound are there, the oldest of all"
