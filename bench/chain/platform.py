"""The instance that is measured: its servers, our processes, and what each of them has used so far."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
from aiokafka import TopicPartition

from bench.chain import enrolment, meters
from bench.chain.enrolment import Accounts
from bench.chain.runs import Lost, Tell
from cli import operator
from contracts.topics import REGISTRY_APPS, REGISTRY_CONSENTS, REGISTRY_DEVICES, Topic
from deploy.local import postgres
from deploy.local.environment import OWNER
from deploy.local.instance import Instance
from deploy.local.stack import Stack
from runtime import kafka
from runtime.settings import DatabaseSettings, KafkaSettings
from sharing.apps import Access
from sharing.gateway.settings import GatewaySettings
from sharing.kafka_users import KafkaUsers

OURS = ("keeper", "bridge", "streams", "store")
READY_SECONDS = 60.0
KNOWN_SECONDS = 60.0
POLL_SECONDS = 0.2
WIDE = {
    "AGORA_INGEST_QUOTA_MESSAGES_PER_SECOND": "1e9",
    "AGORA_INGEST_QUOTA_BURST_MESSAGES": "1000000000",
    "AGORA_INGEST_QUOTA_BYTES_PER_SECOND": "1e12",
    "AGORA_INGEST_QUOTA_BURST_BYTES": "1000000000000",
}
"""The quota of a device is counted as ever, and never reached: few devices may have to carry the whole load."""
SEARCH_LIMIT = float(GatewaySettings.model_fields["queries_per_second"].default)
"""FHIR requests a second that an app may make if nothing else is set."""
SECOND_METRICS = {"streams": 57, "store": 58}
"""Offsets of the ports on which a second worker tells its metrics, behind those of ``deploy.local.instance``."""


@dataclass(frozen=True)
class Usage:
    """What processes have used so far.

    Attributes:
        cpu: processor seconds by process.
        memory: bytes by process, what is shared divided among those who share it.
        database: processor seconds of each process of PostgreSQL.
    """

    cpu: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    database: meters.Database = field(default_factory=meters.Database)

    def since(self, before: Usage) -> dict[str, float]:
        """Give the processor seconds since an earlier look; a process that was started meanwhile counts whole."""
        ours = {name: used - before.cpu.get(name, 0.0) for name, used in self.cpu.items()}
        return ours | self.database.since(before.database)


class Platform:
    """A running instance, and the generator's accounts in it.

    Args:
        stack: with its servers started.
        connections: of the generator.

    Attributes:
        extra: other programs that are measured among our processes: name and process id.
        overrides: settings of a process over those of its file.
        access: of the app that takes part, where sharing is measured.
        search_limit: FHIR requests a second that the gateway allows an app.
    """

    def __init__(self, stack: Stack, connections: int) -> None:
        self.stack = stack
        self.accounts: Accounts = enrolment.open_broker(stack.instance, connections)
        values = stack.settings("operator")
        self.database = operator.settings(DatabaseSettings, values)
        self.kafka = operator.settings(KafkaSettings, values)
        self.conninfo = self.database.conninfo()
        self.extra: dict[str, int] = {}
        self.overrides: dict[str, dict[str, str]] = {"bridge": WIDE}
        self.access: Access | None = None
        self.search_limit = SEARCH_LIMIT

    @property
    def instance(self) -> Instance:
        """Which instance it is."""
        return self.stack.instance

    def allow_searches(self, rate: float) -> None:
        """Raise the gateway's limit, where so many searches a second of one app would reach it; it stays a limit."""
        if 2 * rate > SEARCH_LIMIT:
            self.search_limit = 2 * rate
            self.overrides["gateway"] = {"AGORA_GATEWAY_QUERIES_PER_SECOND": str(self.search_limit)}

    def start(self, *names: str, second: bool = False) -> None:
        """Start processes of ours that do not run yet, and wait until they tell their metrics.

        Args:
            names: which.
            second: whether to start a second worker of those that may have one.
        """
        running = {name for name, one in self.stack.state().processes.items() if one.alive}
        for name in names:
            if name not in running:
                self.stack.start_process(name, self.overrides.get(name))
        for name in names:
            self.stack.wait_process(name, READY_SECONDS)
            if second and name in SECOND_METRICS and f"{name}-2" not in running:
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
                self.access = enrolment.share(connection, KafkaUsers(self.kafka), devices, tell)

    def companion_env(self) -> dict[str, str]:
        """Give the environment of a process beside the platform: without any setting or secret of ours."""
        return {name: value for name, value in self.stack.env("operator").items() if not name.startswith("AGORA_")}

    async def wait_known(self) -> None:
        """Wait until the router knows all apps, consents and devices: what is published before would rightly be withheld.

        Raises:
            Lost: it does not come to know them.
        """
        names = [REGISTRY_APPS.name, REGISTRY_CONSENTS.name, REGISTRY_DEVICES.name]
        with psycopg.connect(self.conninfo) as connection:
            newest = connection.execute(
                "SELECT topic, max(version) FROM outbox WHERE topic = ANY(%s) GROUP BY topic", [names]
            ).fetchall()
        try:
            async with asyncio.timeout(KNOWN_SECONDS):
                for topic, version in newest:
                    while await self.metric("router", "agora_sharing_known_version", {"topic": topic}) < version:  # noqa: ASYNC110 - another process
                        await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise Lost("the router does not know all apps, consents and devices; see ./agora logs router") from None

    async def lag(self, group: str, *topics: Topic) -> int:
        """Give how many records of topics a consumer group has still to commit."""
        reader = kafka.consumer(self.kafka, group)
        await reader.start()
        try:
            places = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
            ends = await reader.end_offsets(places)
            return sum([ends[place] - (await reader.committed(place) or 0) for place in places])
        finally:
            await reader.stop()

    def checkpoint(self) -> None:
        """Let the database put its write-ahead log behind it: what follows goes into files that exist, as in an old database."""
        with postgres.connect(self.stack.settings(OWNER)) as connection:
            connection.execute("CHECKPOINT")

    def checkpoints(self) -> int:
        """Give how many checkpoints the database has begun: each makes what follows write whole pages into its log once."""
        with psycopg.connect(self.conninfo) as connection:
            row = connection.execute("SELECT num_timed + num_requested FROM pg_stat_checkpointer").fetchone()
        return int(row[0]) if row else 0

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
            cpu,
            {name: meters.proportional_bytes(entries, pid) for name, pid in pids.items()} if memory else {},
            meters.database(entries, pids["postgres"], without),
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
