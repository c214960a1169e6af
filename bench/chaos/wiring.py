"""Which process comes by which proxy: a link of its own for each of two equal processes, so that one can be cut off alone."""

from __future__ import annotations

from pathlib import Path

from bench.chaos.proxy import Link, Proxy
from deploy.local.instance import Instance, Ports

DATABASE = {"store": 61, "router": 62, "keeper": 63, "gateway": 64, "store-2": 68, "router-2": 69, "keeper-2": 70}
DEVICES, BRIDGES, KAFKA = 65, {"bridge": 66, "bridge-2": 76}, 67
SECOND_KAFKA, SECOND_LISTENER = 77, 78
"""Ports, counted from the instance's base. Kafka's second listener has a proxy of its own as its address, for the second ones."""
SECOND = "-2"


class Wiring:
    """The proxies of an instance, and who comes by them."""

    def __init__(self, instance: Instance) -> None:
        """Prepare them; none listens yet."""
        self._base = base = instance.ports.base
        ports = instance.ports
        self.proxies = [
            *(Proxy(base + offset, ports.postgres, "postgres", who) for who, offset in DATABASE.items()),
            *(Proxy(base + offset, ports.mqtt, "mosquitto", who) for who, offset in BRIDGES.items()),
            Proxy(self.devices_port, ports.mqtt, "mosquitto", "devices"),
            Proxy(base + KAFKA, ports.kafka_internal, "kafka"),
            Proxy(base + SECOND_KAFKA, base + SECOND_LISTENER, "kafka", suffix=SECOND),
        ]

    @property
    def devices_port(self) -> int:
        """Where devices connect: a proxy before the broker."""
        return self._base + DEVICES

    def link(self, name: str) -> Link:
        """Give a link, with the proxies that it runs through."""
        return Link(name, [one for one in self.proxies if one.carries(name)])

    def settings(self, name: str) -> dict[str, str]:
        """Give the addresses of a process of ours."""
        kafka = SECOND_KAFKA if name.endswith(SECOND) else KAFKA
        settings = {"AGORA_KAFKA_BOOTSTRAP": f"127.0.0.1:{self._base + kafka}"}
        if name in DATABASE:
            settings["AGORA_DATABASE_PORT"] = str(self._base + DATABASE[name])
        if name in BRIDGES:
            settings |= {"AGORA_MQTT_PORT": str(self._base + BRIDGES[name]), "AGORA_INGEST_BROKER_SOCKET": ""}
        return settings


def advertise(properties: Path, ports: Ports) -> None:
    """Let Kafka send its clients to the proxies; in place, so that the file stays its owner's."""
    properties.write_text(advertised(properties.read_text(), ports.base))


def advertised(properties: str, base: int) -> str:
    """Give Kafka's settings a second listener for our own processes, and the proxies as what both tell as their address."""
    changed = []
    for line in properties.splitlines():
        name, _, value = line.partition("=")
        if name == "advertised.listeners":
            _, _, apps = value.partition(",")
            line = f"{name}=INTERNAL://127.0.0.1:{base + KAFKA},SECOND://127.0.0.1:{base + SECOND_KAFKA},{apps}"
        elif name == "listeners":
            line = f"{line},SECOND://127.0.0.1:{base + SECOND_LISTENER}"
        elif name == "listener.security.protocol.map":
            line = f"{line},SECOND:SASL_PLAINTEXT"
        elif name.startswith("listener.name.internal."):
            changed.append(line.replace("listener.name.internal.", "listener.name.second.", 1))
        changed.append(line)
    return "\n".join(changed) + "\n"
