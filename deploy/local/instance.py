"""One installation of the platform on this machine: its name, its folders and its ports."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.problems import Problem

CHECKOUT = Path(__file__).resolve().parents[2]
"""The application's own folder; processes are started with it as their import path."""
DEFAULT_INSTANCE = "main"
DEFAULT_PORT_BASES = {"main": 21000, "test": 22000}
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
RESERVED_NAMES = ("software",)
LOWEST_PORT_BASE, HIGHEST_PORT_BASE = 1024, 65400
"""Below are ports only root may open; above, the last offset would leave the range of ports."""
PROCESSES = ("bridge", "streams", "store", "router", "gateway", "keeper")
SERVERS = ("postgres", "kafka", "mosquitto")


@dataclass(frozen=True)
class Ports:
    """The ports of an instance: a base and fixed offsets.

    Attributes:
        base: what every port is counted from, 1024–65400.
    """

    base: int

    def _offset(self, offset: int) -> int:
        return self.base + offset

    @property
    def postgres(self) -> int:
        """PostgreSQL."""
        return self._offset(32)

    @property
    def gateway(self) -> int:
        """The gateway's HTTPS."""
        return self._offset(43)

    @property
    def mqtt(self) -> int:
        """MQTT over TLS."""
        return self._offset(83)

    @property
    def kafka_internal(self) -> int:
        """Kafka for the platform's own processes (SASL, this machine only)."""
        return self._offset(92)

    @property
    def kafka_controller(self) -> int:
        """Kafka's own consensus."""
        return self._offset(93)

    @property
    def kafka_apps(self) -> int:
        """Kafka for apps (SASL over TLS)."""
        return self._offset(94)

    def metrics(self, process: str) -> int:
        """Give the port on which a process of ours tells its metrics."""
        return self._offset(51 + PROCESSES.index(process))

    def named(self) -> dict[str, int]:
        """Give every port with what it is for."""
        servers = {
            "PostgreSQL": self.postgres,
            "MQTT": self.mqtt,
            "Kafka (internal)": self.kafka_internal,
            "Kafka (controller)": self.kafka_controller,
            "Kafka (apps)": self.kafka_apps,
            "gateway": self.gateway,
        }
        return servers | {f"metrics of {process}": self.metrics(process) for process in PROCESSES}


@dataclass(frozen=True)
class Instance:
    """Name, place and ports of one installation; several can run on one machine side by side.

    Attributes:
        name: ``[a-z0-9-]``, at most 32 characters.
        ports: its ports.
        state: the folder of all local state, shared by the instances of a checkout; it may be a link.
    """

    name: str
    ports: Ports
    state: Path

    @classmethod
    def of(cls, name: str | None = None, port_base: int | None = None, environment: Mapping[str, str] | None = None) -> Instance:
        """Make an instance from what is given, else from the environment, else from the defaults.

        Args:
            name: the instance; without it ``AGORA_INSTANCE``, else ``main``.
            port_base: where its ports begin; without it ``AGORA_PORT_BASE``, else 21000 (``test``: 22000).
            environment: the variables to look in; the process's own if not given.

        Returns:
            The instance; nothing on disk is touched.

        Raises:
            Problem: the name or the port base cannot be used.
        """
        variables = os.environ if environment is None else environment
        name = name or variables.get("AGORA_INSTANCE") or DEFAULT_INSTANCE
        if not NAME.fullmatch(name) or name in RESERVED_NAMES:
            raise Problem(f"{name!r} cannot name an instance", "AGORA_INSTANCE takes a-z, 0-9 and '-', at most 32 characters.")
        if port_base is None:
            port_base = _port_base(variables.get("AGORA_PORT_BASE"), name)
        if not LOWEST_PORT_BASE <= port_base <= HIGHEST_PORT_BASE:
            raise Problem(
                f"the port base {port_base} cannot be used", f"AGORA_PORT_BASE takes {LOWEST_PORT_BASE} to {HIGHEST_PORT_BASE}."
            )
        return cls(name, Ports(port_base), CHECKOUT / ".agora")

    @classmethod
    def beside(cls, purpose: str, port_base: int, offset: int, environment: Mapping[str, str] | None = None) -> Instance:
        """Make an instance beside the one that the environment names, so that no platform is touched.

        Args:
            purpose: what it is for; its name, or the end of it where the environment names an instance.
            port_base: where its ports begin, unless the environment says where the other's do.
            offset: how far behind those its own then begin.
            environment: the variables to look in; the process's own if not given.

        Raises:
            Problem: the name or the port base cannot be used.
        """
        variables = os.environ if environment is None else environment
        name = variables.get("AGORA_INSTANCE")
        base = _port_base(variables["AGORA_PORT_BASE"], purpose) + offset if variables.get("AGORA_PORT_BASE") else port_base
        return cls.of(f"{name}-{purpose}" if name else purpose, base)

    @property
    def place(self) -> Path:
        """Where the state folder really is: the servers' user may reach only this path, not the link in the checkout."""
        return self.state.resolve()

    @property
    def software(self) -> Path:
        """What was downloaded, shared by the instances."""
        return self.place / "software"

    @property
    def folder(self) -> Path:
        """Everything of this instance."""
        return self.place / self.name

    @property
    def data(self) -> Path:
        """The servers' and the workers' data."""
        return self.folder / "data"

    def server_data(self, server: str) -> Path:
        """Give the folder in which a server started here keeps its data; it is the server's own, and may be a disk of its own."""
        return self.data / server

    @property
    def run(self) -> Path:
        """Lock, state and process ids."""
        return self.folder / "run"

    @property
    def logs(self) -> Path:
        """One log file per process."""
        return self.folder / "logs"

    @property
    def config(self) -> Path:
        """The servers' generated configuration."""
        return self.folder / "config"

    @property
    def credentials(self) -> Path:
        """Secrets, closed to everybody but the caller."""
        return self.folder / "credentials"

    @property
    def certificates(self) -> Path:
        """The local certificate authority and what it signed."""
        return self.folder / "certificates"

    @property
    def broker(self) -> Path:
        """The MQTT broker's password and access files; the keeper writes here, the broker reads."""
        return self.folder / "broker"

    @property
    def environments(self) -> Path:
        """One file of settings per process."""
        return self.folder / "env"


def _port_base(given: str | None, name: str) -> int:
    if given:
        if not given.isdecimal():
            raise Problem(f"AGORA_PORT_BASE={given!r} is not a number", f"It takes {LOWEST_PORT_BASE} to {HIGHEST_PORT_BASE}.")
        return int(given)
    if name not in DEFAULT_PORT_BASES:
        raise Problem(f"the instance {name!r} has no ports yet", "Say where they begin, for example AGORA_PORT_BASE=27000.")
    return DEFAULT_PORT_BASES[name]
