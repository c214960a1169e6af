"""Looking at an instance from any process: what runs, with which settings; and sending its processes signals, as tests do."""

from __future__ import annotations

import contextlib
import os
import signal
import urllib.request
from collections.abc import Mapping

from deploy.local import environment, kafka, mosquitto, postgres, state
from deploy.local.child import Identity
from deploy.local.instance import CHECKOUT, Instance
from deploy.local.problems import Problem
from deploy.local.state import Running, State

PREFIXES = {
    "bridge": "AGORA_INGEST_",
    "streams": "AGORA_STREAMS_",
    "store": "AGORA_STORAGE_",
    "router": "AGORA_ROUTER_",
    "gateway": "AGORA_GATEWAY_",
    "keeper": "AGORA_KEEPER_",
}
"""Settings of a process that whoever starts the instance may choose, beside those of every process."""
FOR_ALL = ("AGORA_LOG_LEVEL", "AGORA_LOG_FORMAT")


def chosen_settings(process: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Pick what the environment of ``agora up`` says about one process; what the instance itself made goes before it.

    Args:
        process: ``bridge``, ``streams``, …; any other has no settings to choose.
        environment: where the instance is started.

    Returns:
        The variables to hand on.
    """
    prefix = PREFIXES.get(process)
    if prefix is None:
        return {}
    return {name: value for name, value in environment.items() if name.startswith(prefix) or name in FOR_ALL}


class View:
    """An instance, whoever runs it.

    Args:
        instance: its name, else ``AGORA_INSTANCE``, else ``main``; or the instance itself.
        port_base: where its ports begin, else ``AGORA_PORT_BASE``, else the instance's own.
    """

    def __init__(self, instance: str | Instance | None = None, port_base: int | None = None) -> None:
        self.instance = instance if isinstance(instance, Instance) else Instance.of(instance, port_base)

    def settings(self, name: str) -> dict[str, str]:
        """Give the settings of a process, of the ``operator``, of the schema's ``owner`` or of the broker's ``probe``."""
        return environment.read(self.instance, name)

    def env(self, name: str) -> dict[str, str]:
        """Give the whole environment a process of ours is started with."""
        path = os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
        base = {"PATH": path, "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8"}
        return base | chosen_settings(name, os.environ) | self.settings(name)

    def state(self) -> State:
        """Give what runs."""
        return state.read(self.instance)

    def running(self, name: str) -> Running:
        """Give one process.

        Raises:
            Problem: it is not known.
        """
        processes = self.state().processes
        if name not in processes:
            raise Problem(f"{name} does not run in the instance {self.instance.name!r}", "./agora up")
        return processes[name]

    def pid(self, name: str) -> int:
        """Give a process's id.

        Raises:
            Problem: it does not run.
        """
        return self._alive(name).pid

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> Identity:
        """Send a process a signal.

        Returns:
            Which process it was, for ``wait_restarted``.

        Raises:
            Problem: it does not run.
        """
        identity = self._alive(name)
        identity.signal(number)
        return identity

    def wait_restarted(self, name: str, before: Identity, seconds: float = 20.0) -> int:
        """Wait until a process that died was started again.

        Args:
            name: which.
            before: what ``kill`` gave.
            seconds: how long to wait at most.

        Returns:
            The new process id.

        Raises:
            Problem: it was not started again in time.
        """
        for _ in state.glances(seconds):
            now = self.running(name)
            if now.identity is not None and now.identity != before and now.alive:
                return now.identity.pid
        raise Problem(f"{name} was not started again within {seconds:.0f} s", f"./agora logs {name}")

    def answers(self, name: str) -> bool:
        """Ask a server or process for what only a working one can give: a login and an answer, or its metrics."""
        match name:
            case "postgres":
                return postgres.answers(self.settings(environment.OWNER))
            case "kafka":
                return kafka.answers(kafka.client(self.settings("operator")))
            case "mosquitto":
                return mosquitto.answers(self.settings(environment.PROBE))
            case _:
                return self.metrics(name) is not None

    def metrics(self, name: str) -> str | None:
        """Give what a process of ours tells about itself, in Prometheus' text format; None when it does not answer."""
        port = self.instance.ports.metrics(name)
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=1) as answer,
        ):
            return str(answer.read().decode())
        return None

    def _alive(self, name: str) -> Identity:
        identity = self.running(name).identity
        if identity is None or not identity.alive:
            raise Problem(f"{name} does not run just now", f"./agora logs {name}")
        return identity
