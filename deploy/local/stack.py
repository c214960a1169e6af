"""The whole platform of one instance: its servers, provisioned, and our own processes.

Used in two ways. A test or a tool runs it itself::

    with Stack("dev-example", 26000) as stack:
        stack.start_servers()
        stack.start_process("bridge")
        settings = stack.env("store")

The command ``agora up`` runs it in a process of its own (``deploy.local.supervisor``), which starts again what dies; ``Stack`` in another
process then reads what runs there (``env``, ``pid``, ``kill``) and waits for it (``wait_restarted``).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import IO, Self

from confluent_kafka.admin import AdminClient

from deploy.local import (
    certificates,
    credentials,
    database,
    environment,
    kafka,
    kafka_access,
    mosquitto,
    postgres,
    software,
    state,
)
from deploy.local.accounts import make_instance_folders, make_state_folder, server_account
from deploy.local.child import Command, Identity
from deploy.local.children import Children
from deploy.local.instance import CHECKOUT, PROCESSES, SERVERS, Instance
from deploy.local.ports import check_free
from deploy.local.problems import Problem
from deploy.local.profiles import chosen
from deploy.local.servers import Addresses
from deploy.local.software import Progress
from deploy.local.state import Phase, Running, State

SERVER_START_SECONDS = 90.0
PROCESS_START_SECONDS = 30.0
DRAIN_SECONDS = 15.0
SERVER_STOP_SECONDS = 30.0
LEFTOVER_SECONDS = 10.0


def _silent(_step: str) -> None:
    """Tell nobody."""


class Stack:
    """Servers and processes of one instance.

    Args:
        instance: its name, else ``AGORA_INSTANCE``, else ``main``.
        port_base: where its ports begin, else ``AGORA_PORT_BASE``, else the instance's own.
        progress: told each step as it begins.
    """

    def __init__(
        self, instance: str | Instance | None = None, port_base: int | None = None, progress: Progress = _silent
    ) -> None:
        self.instance = instance if isinstance(instance, Instance) else Instance.of(instance, port_base)
        self._progress = progress
        self._children = Children(self.instance.logs, self._write_state)
        self._lock: IO[str] | None = None
        self._picture = State()
        self._commands: dict[str, Command] = {}

    def __enter__(self) -> Self:
        """Nothing happens yet."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Stop everything that was started."""
        self.stop()

    # -- starting ------------------------------------------------------------------------------------------------------------------

    def install(self) -> software.Software:
        """Get the servers' programs, the first time by download."""
        make_instance_folders_for(self.instance)
        wanted = self._local_servers()
        return software.install(
            self.instance, self._progress, kafka="kafka" in wanted, postgres="postgres" in wanted, mosquitto="mosquitto" in wanted
        )

    def start_servers(self) -> None:
        """Start Kafka, PostgreSQL and mosquitto, wait until they answer, and make topics, users, rights and the schema.

        Raises:
            Problem: something on this machine is in the way; nothing is left running.
        """
        programs = self.install()
        self._take()
        try:
            self._start_servers(programs)
        except BaseException:
            self.stop()
            raise

    def _start_servers(self, programs: software.Software) -> None:
        account = server_account(self.instance)
        profile = chosen()
        self._step("credentials and certificates")
        secrets = credentials.load_or_make(self.instance)
        certificate_files = certificates.ensure(self.instance, account)
        addresses = Addresses.find(self.instance, certificate_files.authority)
        local = self._local_servers()
        check_free(self._server_ports(local))
        self._step("configuration")
        environment.write_all(self.instance, secrets, certificate_files, addresses)
        if "postgres" in local:
            server = postgres.Postgres(self.instance, account, programs)
            server.configure(secrets, profile)
            self._commands["postgres"] = server.command()
        if "kafka" in local:
            broker = kafka.Kafka(self.instance, account, programs)
            broker.configure(secrets, certificate_files, profile)
            self._commands["kafka"] = broker.command()
        if "mosquitto" in local:
            mqtt = mosquitto.Mosquitto(self.instance, account, programs)
            mqtt.configure(secrets, certificate_files, profile)
            self._commands["mosquitto"] = mqtt.command()
        for name in local:
            self._children.start(self._commands[name])
        self._provision(secrets, programs, local)

    def _provision(self, secrets: credentials.Credentials, programs: software.Software, local: Sequence[str]) -> None:
        owner, operator = self.settings(environment.OWNER), self.settings("operator")
        self._await("postgres", local)
        self._step("database: schema")
        with postgres.connect(owner, "postgres") as connection:
            database.make_database(connection, owner["AGORA_DATABASE_NAME"])
            version = connection.execute("SHOW server_version").fetchone()
        schema = database.migrate(owner)
        with postgres.connect(owner) as connection:
            database.set_passwords(connection, secrets.database)
            extension = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
        self._await("mosquitto", local)
        self._await("kafka", local)
        self._step("Kafka: topics, users and rights")
        kafka_access.provision(AdminClient(kafka.client(operator)), secrets.kafka)
        versions = {
            "PostgreSQL": str(version[0]).split()[0] if version else "",
            "TimescaleDB": str(extension[0]) if extension else "",
            "schema": schema,
            "Kafka": software.KAFKA_VERSION if "kafka" in local else "",
            "mosquitto": mosquitto.version(programs.mosquitto) if "mosquitto" in local else "",
        }
        self._write_state(versions=versions)

    def _await(self, name: str, local: Sequence[str]) -> None:
        self._step(f"{name}: waiting for its first answer")
        if name in local:
            self._children.wait_ready(name, lambda: self.answers(name), SERVER_START_SECONDS)
        elif not self.answers(name):
            raise Problem(
                f"{name} does not answer at the address that was given", "Check the address, the account and its password."
            )

    def answers(self, name: str) -> bool:
        """Ask a server for something that only a working one can give: a login, and an answer."""
        match name:
            case "postgres":
                return postgres.answers(self.settings(environment.OWNER))
            case "kafka":
                return kafka.answers(kafka.client(self.settings("operator")))
            case "mosquitto":
                return mosquitto.answers(self.settings("probe"))
            case _:
                return self._metrics_answer(name)

    def start_process(
        self, name: str, extra_env: Mapping[str, str] | None = None, alias: str | None = None, wait: bool = False
    ) -> None:
        """Start one of our own processes.

        Args:
            name: ``bridge``, ``streams``, ``store``, ``router``, ``gateway`` or ``keeper``.
            extra_env: settings over those of its file.
            alias: what to call it, for a second one of its kind; it then needs an ``AGORA_METRICS_PORT`` of its own in ``extra_env``.
            wait: whether to wait until its ``/metrics`` answers.

        Raises:
            Problem: there is no such process, or it did not start.
        """
        if name not in PROCESSES:
            raise Problem(f"there is no process {name!r}", f"There are: {', '.join(PROCESSES)}.")
        self._take()
        arguments = [sys.executable, "-m", "cli", name]
        self._children.start(Command(alias or name, arguments, self.env(name) | dict(extra_env or {}), CHECKOUT))
        if wait:
            self.wait_process(alias or name)

    def start_processes(self, names: Iterable[str] = PROCESSES) -> None:
        """Start our own processes, all of them if not told otherwise."""
        wanted = list(names)
        check_free({f"metrics of {name}": self.instance.ports.metrics(name) for name in wanted})
        if "gateway" in wanted:
            check_free({"the gateway": self.instance.ports.gateway})
        for name in wanted:
            self._step(f"{name}: starting")
            self.start_process(name)

    def wait_process(self, name: str, seconds: float = PROCESS_START_SECONDS) -> None:
        """Wait until a process of ours tells its metrics.

        Raises:
            Problem: it died, or was not ready in time.
        """
        self._children.wait_ready(name, lambda: self._metrics_answer(name), seconds)

    # -- what runs -----------------------------------------------------------------------------------------------------------------

    def settings(self, name: str) -> dict[str, str]:
        """Give the settings of a process, of the ``operator``, of the schema's ``owner`` or of the broker's ``probe``."""
        return environment.read(self.instance, name)

    def env(self, name: str) -> dict[str, str]:
        """Give the whole environment a process of ours is started with."""
        path = os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
        return {"PATH": path, "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8"} | self.settings(name)

    def state(self) -> State:
        """Give what runs, whoever started it."""
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
        identity = self.running(name).identity
        if identity is None or not identity.alive:
            raise Problem(f"{name} does not run just now")
        return identity.pid

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> Identity:
        """Send a process a signal, whoever started it.

        Returns:
            Which process it was, for ``wait_restarted``.
        """
        identity = Identity.of(self.pid(name))
        if identity is None or not identity.signal(number):
            raise Problem(f"{name} does not run just now")
        return identity

    def wait_restarted(self, name: str, before: Identity, seconds: float = 20.0) -> int:
        """Wait until a supervisor has started a process again.

        Args:
            name: which.
            before: the process that was killed.
            seconds: how long to wait at most.

        Returns:
            The new process id.

        Raises:
            Problem: it was not started again in time.
        """
        for _ in state.glances(seconds):
            now = self.running(name)
            if now.alive and now.identity != before and now.identity is not None:
                return now.identity.pid
        raise Problem(f"{name} was not started again within {seconds:.0f} s")

    def tend(self) -> float:
        """Start again what died; for who runs the stack in a process of its own.

        Returns:
            Seconds until it should be called again at the latest.
        """
        return self._children.tend()

    # -- stopping ------------------------------------------------------------------------------------------------------------------

    def stop_process(self, name: str, seconds: float = DRAIN_SECONDS) -> bool:
        """Stop one process or server in good order.

        Returns:
            Whether it ended by itself within the time; else it was killed.
        """
        return not self._children.stop([name], seconds)

    def start_server(self, name: str) -> None:
        """Start a server again that was stopped with ``stop_process``, and wait for its answer."""
        self._children.start(self._commands[name])
        self._children.wait_ready(name, lambda: self.answers(name), SERVER_START_SECONDS)

    def stop(self) -> None:
        """Stop all that this stack started: our own processes, which finish what they hold, then the servers."""
        if self._lock is None:
            return
        ours = [name for name in self._children.names() if name not in SERVERS]
        servers = [name for name in self._children.names() if name in SERVERS]
        phase = self._picture.phase
        self._write_state(phase=Phase.STOPPING if phase is not Phase.FAILED else phase, step="stopping our processes")
        self._children.stop(ours, DRAIN_SECONDS)
        self._write_state(step="stopping the servers")
        self._children.stop(servers, SERVER_STOP_SECONDS)
        self._write_state(phase=Phase.STOPPED if phase is not Phase.FAILED else phase, step="")
        self._lock.close()
        self._lock = None

    # -- inside --------------------------------------------------------------------------------------------------------------------

    def mark(self, phase: Phase, problem: Problem | None = None) -> None:
        """Write down how far the stack is."""
        self._write_state(phase=phase, step="", problem=problem.what if problem else "", remedy=problem.remedy if problem else "")

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

    def _local_servers(self) -> list[str]:
        given = Addresses.find(self.instance, self.instance.certificates / "ca.pem").given
        return [name for name in SERVERS if name not in given]

    def _server_ports(self, local: Sequence[str]) -> dict[str, int]:
        ports = self.instance.ports
        wanted: dict[str, int] = {}
        if "postgres" in local:
            wanted["PostgreSQL"] = ports.postgres
        if "kafka" in local:
            wanted |= {
                "Kafka": ports.kafka_internal,
                "Kafka's controller": ports.kafka_controller,
                "Kafka's apps listener": ports.kafka_apps,
            }
        if "mosquitto" in local:
            wanted["MQTT"] = ports.mqtt
        return wanted

    def _metrics_answer(self, name: str) -> bool:
        port = self.instance.ports.metrics(name)
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=1) as answer:
            return bool(answer.status == 200)
        return False


def make_instance_folders_for(instance: Instance) -> None:
    """Make an instance's folders with the rights of who will use them."""
    make_state_folder(instance)
    make_instance_folders(instance, server_account(instance))


def clear_leftovers(instance: Instance) -> None:
    """Stop what an earlier run left behind when it was killed; only processes that are surely that run's."""
    stop_signals = {"postgres": signal.SIGINT}
    left = {name: entry.identity for name, entry in state.read(instance).processes.items() if entry.alive and entry.identity}
    for name, identity in left.items():
        identity.signal(stop_signals.get(name, signal.SIGTERM))
    for identity in left.values():
        if not state.wait_gone(identity, LEFTOVER_SECONDS):
            identity.signal(signal.SIGKILL)
            state.wait_gone(identity, LEFTOVER_SECONDS)
