"""The instance that is measured: its servers, our processes, and what each of them has used so far."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg

from bench.chain import enrolment, meters
from bench.chain.enrolment import Accounts, Tell
from cli import operator
from deploy.local.environment import OWNER
from deploy.local.instance import Instance
from deploy.local.stack import Stack
from runtime.settings import DatabaseSettings, KafkaSettings
from sharing.kafka_users import KafkaUsers

OURS = ("keeper", "bridge", "streams", "store")
READY_SECONDS = 60.0
WIDE = {
    "AGORA_INGEST_QUOTA_MESSAGES_PER_SECOND": "1e9",
    "AGORA_INGEST_QUOTA_BURST_MESSAGES": "1000000000",
    "AGORA_INGEST_QUOTA_BYTES_PER_SECOND": "1e12",
    "AGORA_INGEST_QUOTA_BURST_BYTES": "1000000000000",
}
"""The quota of a device is counted as ever, and never reached: few devices may have to carry the whole load."""
SECOND_METRICS = {"streams": 57, "store": 58}
"""Offsets of the ports on which a second worker tells its metrics, behind those of ``deploy.local.instance``."""


@dataclass(frozen=True)
class Usage:
    """What processes have used so far.

    Attributes:
        cpu: processor seconds by process.
        memory: bytes by process, what is shared divided among those who share it.
    """

    cpu: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    def since(self, before: Usage) -> dict[str, float]:
        """Give the processor seconds since an earlier look; a process that was started meanwhile counts whole."""
        return {name: used - before.cpu.get(name, 0.0) for name, used in self.cpu.items()}


class Platform:
    """A running instance, and the generator's accounts in it.

    Args:
        stack: with its servers started.
        connections: of the generator.
    """

    def __init__(self, stack: Stack, connections: int) -> None:
        self.stack = stack
        self.accounts: Accounts = enrolment.open_broker(stack.instance, connections)
        values = stack.settings("operator")
        self.database = operator.settings(DatabaseSettings, values)
        self.kafka = operator.settings(KafkaSettings, values)
        self.conninfo = self.database.conninfo()
        self.extra: dict[str, int] = {}

    @property
    def instance(self) -> Instance:
        """Which instance it is."""
        return self.stack.instance

    def start(self, *names: str, second: bool = False) -> None:
        """Start processes of ours that do not run yet, and wait until they tell their metrics.

        Args:
            names: which.
            second: whether to start a second worker of those that may have one.
        """
        running = {name for name, one in self.stack.state().processes.items() if one.alive}
        for name in names:
            if name not in running:
                self.stack.start_process(name, WIDE if name == "bridge" else None)
        for name in names:
            self.stack.wait_process(name, READY_SECONDS)
            if second and name in SECOND_METRICS:
                port = str(self.instance.ports.base + SECOND_METRICS[name])
                self.stack.start_process(name, {"AGORA_METRICS_PORT": port}, alias=f"{name}-2")

    def stop(self, *names: str) -> None:
        """Stop processes of ours in good order; those that do not run are left out."""
        for name in names:
            if name in self.stack.state().processes:
                self.stack.stop_process(name)

    def enrol(self, devices: int, sharing: bool, tell: Tell) -> None:
        """Enrol devices, and where sharing is measured an app with everybody's consent; starts the keeper."""
        self.start("keeper")
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            enrolment.enrol(connection, devices, tell)
            if sharing:
                enrolment.share(connection, KafkaUsers(self.kafka), devices, tell)

    def checkpoint(self) -> None:
        """Let the database put its write-ahead log behind it: what follows goes into files that exist, as in an old database."""
        owner = self.stack.settings(OWNER)
        with psycopg.connect(
            host=owner["AGORA_DATABASE_HOST"],
            port=owner["AGORA_DATABASE_PORT"],
            user=owner["AGORA_DATABASE_USER"],
            password=owner["AGORA_DATABASE_PASSWORD"],
            dbname=owner["AGORA_DATABASE_NAME"],
            autocommit=True,
        ) as connection:
            connection.execute("CHECKPOINT")

    def pids(self) -> dict[str, int]:
        """Give the processes that run now, other programs that are measured among them."""
        running = self.stack.state().processes
        return {name: one.identity.pid for name, one in running.items() if one.alive and one.identity} | self.extra

    def usage(self, without: int = 0, memory: bool = False) -> Usage:
        """Look at what every process has used.

        Args:
            without: a process that is not to be counted: the watcher's own in the database.
            memory: whether to add up memory, which takes a moment.
        """
        entries = meters.processes()
        pids = self.pids()
        cpu = {name: meters.cpu_seconds(entries, pid, {without}) for name, pid in pids.items() if name != "postgres"}
        return Usage(
            cpu | meters.by_role(entries, pids["postgres"], without),
            {name: meters.proportional_bytes(entries, pid) for name, pid in pids.items()} if memory else {},
        )

    async def metric(self, process: str, name: str, labels: Mapping[str, str] | None = None) -> float:
        """Give the sum of a metric of a process over all label values but those given; 0 where it does not answer."""
        from prometheus_client.parser import text_string_to_metric_families

        text = await asyncio.to_thread(self.stack.metrics, process)
        wanted = (labels or {}).items()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text or "")
            for sample in family.samples
            if sample.name == name and wanted <= sample.labels.items()
        )
