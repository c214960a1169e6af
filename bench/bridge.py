"""Three ways to receive MQTT messages with acknowledgements in our own hands, over TLS, measured one after the other.

``paho`` as it comes; ``buffered``: paho's parser fed from whole reads, its writes joined; ``whole``: the bridge's own session,
which takes whole buffers apart. Each empties a session that was filled beforehand, so that no generator shares the processor::

    python -m bench.bridge --port 8883 --ca ca.pem --messages 50000

The broker has to let anybody in, or the account given, and to hold so many messages for one client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import ssl
import subprocess
import sys
import time

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import SecretStr

from contracts.mqtt import UP_FILTER, up_topic
from ingest.link import BUFFER_BYTES, ControlSocket, Link
from ingest.packets import PUBACK_HEADER, Packets
from ingest.session import PahoOnLink, Session
from ingest.settings import IngestSettings
from runtime.settings import MqttSettings

WAYS = ("paho", "buffered", "whole")
PAYLOAD = json.dumps(
    {
        "sequence": 123456,
        "time": "2026-11-22T10:00:00.250Z",
        "readings": [
            {"code": "8867-4", "value": 71, "unit": "/min"},
            {"code": "59408-5", "value": 97, "unit": "%"},
            {"code": "8310-5", "value": 98.6, "unit": "[degF]"},
        ],
    }
).encode()
WAITING_PUBLISHES = 1000


def properties(**values: int) -> Properties:
    """Make the properties of a CONNECT."""
    made = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(made, name, value)
    return made


def plain_client(mqtt: MqttSettings, name: str) -> Client:
    """Make a paho client as it comes."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5, manual_ack=True)
    client.username_pw_set(mqtt.username, mqtt.password.get_secret_value())
    client.tls_set(mqtt.ca_file)
    return client


def fill(mqtt: MqttSettings, messages: int) -> None:
    """Leave a session of the bridge's name with so many messages waiting at the broker."""
    subscribed: list[bool] = []
    owner = plain_client(mqtt, mqtt.username)
    owner.on_subscribe = lambda *_: subscribed.append(True)
    owner.connect(mqtt.host, mqtt.port, clean_start=True, properties=properties(SessionExpiryInterval=600))
    owner.subscribe(UP_FILTER, qos=1)
    while not subscribed:
        owner.loop(0.1)
    owner.disconnect()
    sender = plain_client(mqtt, "bench-sender")
    sender.max_inflight_messages_set(WAITING_PUBLISHES)
    sender.connect(mqtt.host, mqtt.port)
    sender.loop_start()
    last = None
    for number in range(messages):
        last = sender.publish(up_topic("bench", f"d{number % 1000}"), PAYLOAD, qos=1)
        if number % WAITING_PUBLISHES == 0:
            last.wait_for_publish(10)
    if last is not None:
        last.wait_for_publish(30)
    sender.disconnect()
    sender.loop_stop()


def receive_with_paho(mqtt: MqttSettings, messages: int) -> None:
    """Receive the obvious way."""
    client = plain_client(mqtt, mqtt.username)
    left = [messages]

    def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
        client.ack(message.mid, 1)
        left[0] -= 1

    client.on_message = on_message
    client.connect(
        mqtt.host, mqtt.port, clean_start=False, properties=properties(SessionExpiryInterval=600, ReceiveMaximum=20_000)
    )
    while left[0] > 0:
        client.loop(1.0)
    client.disconnect()


class _PahoFeed(Link):
    """A link whose every byte goes to paho's own parser."""

    client: PahoOnLink

    def buffer_updated(self, nbytes: int) -> None:
        self.client.control.feed(bytes(self._buffer[:nbytes]))
        while len(self.client.control) and self.client.loop_read() == 0:
            pass
        self.client.loop_write()


class _Nobody:
    def packets_received(self, packets: Packets, size: int) -> None: ...

    def link_lost(self) -> None: ...


async def receive_buffered(mqtt: MqttSettings, messages: int) -> None:
    """Receive with paho's parser on a buffered connection."""
    context = ssl.create_default_context(cafile=mqtt.ca_file)
    _, link = await asyncio.get_running_loop().create_connection(
        lambda: _PahoFeed(_Nobody()), mqtt.host, mqtt.port, ssl=context, server_hostname=mqtt.host
    )
    client = link.client = PahoOnLink(CallbackAPIVersion.VERSION2, client_id=mqtt.username, protocol=MQTTv5, manual_ack=True)
    client.username_pw_set(mqtt.username, mqtt.password.get_secret_value())
    client.control = ControlSocket(link)
    done, left = asyncio.Event(), [messages]

    def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
        client.ack(message.mid, 1)
        left[0] -= 1
        if left[0] <= 0:
            done.set()

    client.on_message = on_message
    client.connect(
        mqtt.host, mqtt.port, clean_start=False, properties=properties(SessionExpiryInterval=600, ReceiveMaximum=20_000)
    )
    await done.wait()
    link.close()


class _Counter:
    session: Session

    def __init__(self, messages: int) -> None:
        self.left = messages
        self.done = asyncio.Event()

    def packets_received(self, packets: Packets, size: int) -> None:
        self.session.write(b"".join(PUBACK_HEADER + publish.packet_id for publish in packets.publishes))
        self.left -= len(packets.publishes)
        if self.left <= 0:
            self.done.set()

    def session_opened(self, receive_maximum: int) -> None: ...

    def session_closed(self) -> None: ...

    async def session_yielded(self) -> None: ...


async def receive_whole(mqtt: MqttSettings, messages: int) -> None:
    """Receive as the bridge does."""
    counter = _Counter(messages)
    counter.session = Session(mqtt, IngestSettings(client_id=mqtt.username, session_expiry_seconds=600), counter)
    task = asyncio.create_task(counter.session.run())
    await counter.done.wait()
    task.cancel()
    await counter.session.leave()


def measure(mqtt: MqttSettings, way: str, messages: int) -> dict[str, object]:
    """Fill a session and empty it one way.

    Returns:
        Seconds, messages a second and CPU seconds a million messages.
    """
    fill(mqtt, messages)
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    if way == "paho":
        receive_with_paho(mqtt, messages)
    else:
        asyncio.run((receive_buffered if way == "buffered" else receive_whole)(mqtt, messages))
    after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - begun
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "way": way,
        "messages": messages,
        "buffer_bytes": BUFFER_BYTES,
        "seconds": round(seconds, 2),
        "messages_per_second": round(messages / seconds),
        "cpu_seconds_per_million": round(cpu / messages * 1e6, 1),
    }


def main() -> None:
    """Measure all ways, each in a process of its own, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca", required=True, help="PEM of the authority that signed the broker's certificate")
    parser.add_argument("--username", default="agora-bridge")
    parser.add_argument("--password", default="")
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--way", choices=WAYS)
    given = parser.parse_args()
    if given.way is None:
        for way in WAYS:
            subprocess.run([sys.executable, "-m", "bench.bridge", *sys.argv[1:], "--way", way], check=True)
        return
    mqtt = MqttSettings(
        host=given.host, port=given.port, ca_file=given.ca, username=given.username, password=SecretStr(given.password)
    )
    sys.stdout.write(json.dumps(measure(mqtt, given.way, given.messages)) + "\n")


if __name__ == "__main__":
    main()
