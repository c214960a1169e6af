"""The MQTT broker's doors: each device on its own branch, under its own name, and over TLS."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from contracts.mqtt import PRESENCE, UP_FILTER, down_topic, up_topic
from deploy.local.mosquitto import MESSAGE_MAX_BYTES
from deploy.local.stack import Stack
from tests.support.mqtt_doors import SECONDS, MqttClient, enrol, trust
from tests.support.tls import OLD_TLS_REFUSED, Authority, Doorway, offer_old_tls

CONNACK = b"\x20"
OWN, OTHER = "acme/scale-1", "acme/scale-2"
TAKEN, FORBIDDEN = ("Success", "No matching subscribers"), "Not authorized"


@pytest.fixture(autouse=True)
def devices(stack: Stack) -> None:
    """Two devices with accounts."""
    enrol(stack, OWN, OTHER)


def as_bridge(stack: Stack, *, clean: bool = True) -> MqttClient:
    told = stack.settings("bridge")
    return MqttClient(stack, told["AGORA_MQTT_USERNAME"], told["AGORA_MQTT_PASSWORD"], clean=clean)


def test_a_device_publishes_on_its_own_branch_and_on_no_other(stack: Stack) -> None:
    with MqttClient(stack, OWN) as client:
        assert client.publish(up_topic("acme", "scale-1")) in TAKEN
        others = (up_topic("acme", "scale-2"), down_topic("acme", "scale-1", "commands"), "agora/v1/acme/up/x")
        for topic in (*others, PRESENCE, "$SYS/x"):
            assert client.publish(topic) == FORBIDDEN


def test_a_device_that_subscribes_to_everything_hears_its_own_and_nothing_else(stack: Stack) -> None:
    everything = ("#", "+/#", UP_FILTER, "agora/v1/acme/+/down/#", down_topic("acme", "scale-2", "receipts"), "$SYS/#")
    shared = ("$share/thieves/#", f"$share/thieves/{UP_FILTER}", f"$share/thieves/{down_topic('acme', 'scale-2', '#')}")
    with MqttClient(stack, OWN) as thief, MqttClient(stack, OTHER) as victim, as_bridge(stack) as bridge:
        thief.subscribe(*everything)
        thief.subscribe(*shared)
        assert bridge.subscribe(UP_FILTER) == ["Granted QoS 1"]
        assert victim.subscribe(down_topic("acme", "scale-2", "#")) == ["Granted QoS 1"]
        assert victim.publish(up_topic("acme", "scale-2")) == "Success"
        assert bridge.publish(down_topic("acme", "scale-2", "receipts")) == "Success"
        assert bridge.publish(down_topic("acme", "scale-1", "receipts")) == "Success"
        victim.wait(lambda: bool(victim.received))
        bridge.wait(lambda: bool(bridge.received))
        thief.wait(lambda: bool(thief.received))
        assert set(thief.received) == {down_topic("acme", "scale-1", "receipts")}


def test_nobody_leaves_a_last_will_on_anothers_topic(stack: Stack) -> None:
    with as_bridge(stack) as bridge:
        bridge.subscribe(UP_FILTER)
        for topic in (up_topic("acme", "scale-2"), down_topic("acme", "scale-2", "commands"), up_topic("acme", "scale-1")):
            MqttClient(stack, OWN, will=topic).vanish()
        bridge.wait(lambda: bool(bridge.received))
        assert bridge.received == [up_topic("acme", "scale-1")]


@pytest.mark.parametrize("username", ["", OWN, "acme/nobody", "agora-bridge"])
def test_nobody_comes_in_without_the_right_password(stack: Stack, username: str) -> None:
    with MqttClient(stack, username, "a guess") as client:
        assert client.welcome == FORBIDDEN


def test_a_device_that_takes_the_bridges_client_id_does_not_get_its_session(stack: Stack) -> None:
    name = stack.settings("bridge")["AGORA_MQTT_USERNAME"]
    with as_bridge(stack, clean=False) as bridge, MqttClient(stack, OWN, client_id=name) as thief:
        assert thief.welcome == "Success"
        assert not bridge.disconnected.wait(1)


def test_a_device_that_takes_anothers_client_id_does_not_end_its_session_or_get_its_receipts(stack: Stack) -> None:
    with MqttClient(stack, OTHER) as victim, MqttClient(stack, OWN, client_id=OTHER) as thief, as_bridge(stack) as bridge:
        victim.subscribe(down_topic("acme", "scale-2", "#"))
        bridge.publish(down_topic("acme", "scale-2", "receipts"))
        victim.wait(lambda: bool(victim.received))
        assert (thief.received, victim.disconnected.is_set()) == ([], False)


def test_what_is_too_large_is_refused_to_the_devices_face_and_its_next_message_is_taken(stack: Stack) -> None:
    with as_bridge(stack) as bridge:
        bridge.subscribe(UP_FILTER)
        for size in (MESSAGE_MAX_BYTES + 1, MESSAGE_MAX_BYTES * 2, 10_000_000):
            with MqttClient(stack, OWN) as client:
                assert client.publish(up_topic("acme", "scale-1", "large"), b"x" * size) not in TAKEN
        with MqttClient(stack, OWN) as client:
            assert client.publish(up_topic("acme", "scale-1", "largest"), b"x" * MESSAGE_MAX_BYTES) == "Success"
        bridge.wait(lambda: bool(bridge.received))
        assert bridge.received == [up_topic("acme", "scale-1", "largest")]


def test_a_device_cannot_fill_the_brokers_memory_with_retained_messages(stack: Stack) -> None:
    with MqttClient(stack, OWN) as client:
        assert client.publish(up_topic("acme", "scale-1"), retain=True) == "Retain not supported"


def test_the_bridges_way_by_a_socket_is_closed_to_other_accounts_and_asks_for_name_and_password(stack: Stack) -> None:
    path = stack.instance.data / "mosquitto" / "socket"
    assert str(path) == stack.settings("bridge")["AGORA_INGEST_BROKER_SOCKET"]
    assert path.is_socket()
    assert path.parent.stat().st_mode & 0o077 == 0
    told = b"\x00\x0cagora-bridge\x00\x05guess"
    for flags, login in ((b"\x02", b""), (b"\xc2", told)):
        rest = b"\x00\x04MQTT\x04" + flags + b"\x00\x3c\x00\x05thief" + login
        with socket.socket(socket.AF_UNIX) as near:
            near.settimeout(SECONDS)
            near.connect(str(path))
            near.sendall(bytes((0x10, len(rest))) + rest)
            assert near.recv(4) in (b"\x20\x02\x00\x04", b"\x20\x02\x00\x05", b"")


def test_mqtt_without_tls_gets_no_answer(stack: Stack) -> None:
    with socket.create_connection(("127.0.0.1", stack.instance.ports.mqtt), timeout=SECONDS) as plain:
        plain.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
        try:
            answer = plain.recv(16)
        except ConnectionResetError:
            answer = b""
    assert not answer.startswith(CONNACK)


def test_mqtt_and_kafka_refuse_old_tls(stack: Stack, tmp_path: Path) -> None:
    for port in (stack.instance.ports.mqtt, stack.instance.ports.kafka_apps):
        new = trust(stack)
        with socket.create_connection(("127.0.0.1", port)) as plain, new.wrap_socket(plain, server_hostname="localhost") as door:
            assert door.version() in ("TLSv1.2", "TLSv1.3")
        assert offer_old_tls(port, stack.instance.certificates / "ca.pem") == OLD_TLS_REFUSED
    elsewhere = Authority.make(tmp_path / "elsewhere")
    with Doorway(elsewhere.vouch(), old=True) as old:
        assert offer_old_tls(old.port, elsewhere.file) == "TLSv1.1", "whoever knocks can speak it"


def test_no_name_that_somebody_gives_himself_makes_a_line_in_the_brokers_log(stack: Stack) -> None:
    forged = "x\n2026-11-22T10:00:00: forged line\r\x1b[31mred"
    before = (stack.instance.logs / "mosquitto.log").stat().st_size
    for username, client_id in ((forged, "x"), ("x", forged), (OWN, forged)):
        try:
            MqttClient(stack, username, client_id=client_id).close()
        except AssertionError:
            continue  # cut off without an answer
    with MqttClient(stack, OWN) as client:
        told = client.publish(f"{up_topic('acme', 'scale-1')}/{forged}")
    assert told not in TAKEN
    with (stack.instance.logs / "mosquitto.log").open("rb") as log:
        log.seek(before)
        written = log.read()
    assert b"\x1b" not in written
    assert not any(line.startswith(b"2026-11-22T10:00:00: forged") for line in written.splitlines())
