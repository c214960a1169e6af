"""The whole platform of one instance: its servers, provisioned, and our own processes.

Used in two ways. A test or a tool runs it itself::

    with Stack("dev-example", 26000) as stack:
        stack.start_servers()
        stack.start_process("bridge")
        settings = stack.env("store")

The command ``agora up`` runs it in a process of its own (``deploy.local.supervisor``, started by ``detached``), which
starts again what dies; everybody else then looks on through ``deploy.local.view.View``, whose methods ``Stack`` has, too.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import IO, Self

from deploy.local import environment as settings_files
from deploy.local import mosquitto, state
from deploy.local.child import Command, Identity
from deploy.local.children import Children
from deploy.local.instance import CHECKOUT, PROCESSES, SERVERS, Instance
from deploy.local.ports import check_free
from deploy.local.preparation import Prepared, get_software, local_servers, prepare, server_ports
from deploy.local.problems import Problem
from deploy.local.provisioning import provision_database, provision_kafka
from deploy.local.software import KAFKA_VERSION, Progress
from deploy.local.state import Phase, State
from deploy.local.view import View

SERVER_START_SECONDS = 90.0
PROCESS_START_SECONDS = 30.0
DRAIN_SECONDS = 15.0
SERVER_STOP_SECONDS = 30.0
LEFTOVER_SECONDS = 10.0


def _silent(_step: str) -> None:
    """Tell nobody."""


class Stack(View):
    """Servers and processes of one instance, run by this process. To be used from one thread that lives as long as they shall.

    Args:
        instance: its name, else ``AGORA_INSTANCE``, else ``main``.
        port_base: where its ports begin, else ``AGORA_PORT_BASE``, else the instance's own.
        progress: told each step as it begins.
    """

    def __init__(
        self, instance: str | Instance | None = None, port_base: int | None = None, progress: Progress = _silent
    ) -> None:
        super().__init__(instance, port_base)
        self._progress = progress
        self._children = Children(self.instance.logs, self._write_state)
        self._lock: IO[str] | None = None
        self._picture = State()
        self._servers: Mapping[str, Command] = {}

    def __enter__(self) -> Self:
        """Nothing happens yet."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Stop everything that was started."""
        self.stop()

    def start_servers(self) -> None:
        """Start Kafka, PostgreSQL and mosquitto, wait until they answer, and make topics, users, rights and the schema.

        Raises:
            Problem: something on this machine is in the way; nothing is left running.
        """
        software = get_software(self.instance, self._progress)
        self._take()
        try:
            check_free(server_ports(self.instance, local_servers(self.instance)))
            prepared = prepare(self.instance, software, self._step)
            self._servers = prepared.commands
            for command in prepared.commands.values():  # all at once: they do not need each other
                self._children.start(command)
            self._provision(prepared)
        except BaseException as error:
            self.stop(error if isinstance(error, Problem) else None)
            raise

    def start_server(self, name: str) -> None:
        """Start a server again that was stopped with ``stop_process``, and wait for its answer."""
        self._children.start(self._servers[name])
        self._children.wait_ready(name, lambda: self.answers(name), SERVER_START_SECONDS)

    def start_process(
        self, name: str, extra_env: Mapping[str, str] | None = None, *, alias: str | None = None, wait: bool = False
    ) -> None:
        """Start one of our own processes.

        Args:
            name: ``bridge``, ``streams``, ``store``, ``router``, ``gateway`` or ``keeper``.
            extra_env: settings over those of its file.
            alias: what to call a second one of its kind; it needs an ``AGORA_METRICS_PORT`` of its own in ``extra_env``.
            wait: whether to wait until its ``/metrics`` answers.

        Raises:
            Problem: there is no such process, or it did not start.
        """
        if name not in PROCESSES:
            raise Problem(f"there is no process {name!r}", f"There are: {', '.join(PROCESSES)}.")
        self._take()
        arguments = [sys.executable, "-m", "cli", name]
        environment = self.env(name) | dict(extra_env or {})
        # Made to survive being killed at any moment; a drain could hang when the servers go down in the same moment.
        self._children.start(Command(alias or name, arguments, environment, CHECKOUT, death_signal=signal.SIGKILL))
        if wait:
            self.wait_process(name)

    def start_processes(self, names: Iterable[str] = PROCESSES) -> None:
        """Start our own processes, all of them if not told otherwise.

        Raises:
            Problem: a port is taken.
        """
        wanted = list(names)
        ports = {f"{name}'s metrics": self.instance.ports.metrics(name) for name in wanted}
        check_free(ports | ({"the gateway": self.instance.ports.gateway} if "gateway" in wanted else {}))
        for name in wanted:
            self._step(f"{name}: starting")
            self.start_process(name)

    def wait_process(self, name: str, seconds: float = PROCESS_START_SECONDS) -> None:
        """Wait until a process of ours tells its metrics.

        Raises:
            Problem: it died, or was not ready in time.
        """
        self._children.wait_ready(name, lambda: self.answers(name), seconds)

    def stop_process(self, name: str, seconds: float = DRAIN_SECONDS) -> bool:
        """Stop one process or server in good order.

        Returns:
            Whether it ended by itself within the time; else it was killed.
        """
        return not self._children.stop([name], seconds)

    def stop(self, problem: Problem | None = None) -> None:
        """Stop all that this stack started: our own processes, which finish what they hold, then the servers.

        Args:
            problem: why, where something is wrong; kept for who asks later.
        """
        if self._lock is None:
            return
        ours = [name for name in self._children.names() if name not in SERVERS]
        servers = [name for name in self._children.names() if name in SERVERS]
        self._write_state(phase=Phase.STOPPING, step="stopping our processes")
        self._children.stop(ours, DRAIN_SECONDS)
        self._write_state(step="stopping the servers")
        self._children.stop(servers, SERVER_STOP_SECONDS)
        if problem:
            self._write_state(phase=Phase.FAILED, step="", problem=problem.what, remedy=problem.remedy)
        else:
            self._write_state(phase=Phase.STOPPED, step="")
        self._lock.close()
        self._lock = None

    def mark_ready(self) -> None:
        """Write down that the start is over."""
        self._write_state(phase=Phase.READY, step="")

    def tend(self) -> float:
        """Start again what died; for who runs the stack in a process of its own.

        Returns:
            Seconds until it should be called again at the latest.
        """
        return self._children.tend()

    def _provision(self, prepared: Prepared) -> None:
        self._await("postgres")
        self._step("database: schema and roles")
        versions = provision_database(self.settings(settings_files.OWNER), prepared.secrets)
        self._await("mosquitto")
        self._await("kafka")
        self._step("Kafka: topics, users and rights")
        provision_kafka(self.settings("operator"), prepared.secrets)
        if "kafka" in self._servers:
            versions["Kafka"] = KAFKA_VERSION
        if "mosquitto" in self._servers:
            versions["mosquitto"] = mosquitto.version(prepared.software.mosquitto)
        self._write_state(versions=versions)

    def _await(self, name: str) -> None:
        self._step(f"{name}: waiting for its first answer")
        if name in self._servers:
            self._children.wait_ready(name, lambda: self.answers(name), SERVER_START_SECONDS)
        elif not self.answers(name):
            raise Problem(
                f"{name} does not answer at the address that was given", "Check the address, the account and its password."
            )

    def _take(self) -> None:
        if self._lock is not None:
            return
        self._lock = state.take_lock(self.instance)
        clear_leftovers(self.instance)
        self._picture = State(Phase.STARTING, owner=Identity.of(os.getpid()))
        self._write_state()

    def _step(self, step: str) -> None:
        self._progress(step)
        self._write_state(step=step)

    def _write_state(self, **changes: object) -> None:
        self._picture = replace(self._picture, processes=self._children.picture(), **changes)  # type: ignore[arg-type]
        state.write(self.instance, self._picture)


def clear_leftovers(instance: Instance) -> None:
    """Stop what an earlier run left behind when it was killed; only processes that are surely that run's."""
    left = {name: entry.identity for name, entry in state.read(instance).processes.items() if entry.alive and entry.identity}
    for name, identity in left.items():
        identity.signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
    for identity in left.values():
        if not state.wait_gone(identity, LEFTOVER_SECONDS):
            identity.signal(signal.SIGKILL)
            state.wait_gone(identity, LEFTOVER_SECONDS)
