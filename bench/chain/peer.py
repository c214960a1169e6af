"""Telegraf, which many would take instead: built from its Go module, run on the same servers with the same messages."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from confluent_kafka.admin import AdminClient
from psycopg import AsyncConnection

from bench.chain import commits, measure
from bench.chain.enrolment import PEER
from bench.chain.platform import Platform
from bench.chain.runs import Load, Lost, Run, Tell
from bench.chain.sessions import forget_session
from bench.chain.statistics import percentiles
from bench.chain.workload import READINGS
from contracts.topics import Topic
from deploy.local import kafka, kafka_access, postgres
from deploy.local.child import last_lines
from deploy.local.environment import OWNER
from deploy.local.instance import CHECKOUT, Instance
from deploy.local.mosquitto import unix_socket
from deploy.local.problems import Problem

VERSION = "v1.37.2"
MODULE = "github.com/influxdata/telegraf"
TAGS = (
    "custom,inputs.mqtt_consumer,inputs.kafka_consumer,outputs.kafka,outputs.postgresql,"
    "parsers.json_v2,parsers.influx,serializers.influx"
)
HALVES = ("mqtt_to_kafka", "kafka_to_postgres")
CONFIGURATIONS = CHECKOUT / "bench" / "telegraf"
DATABASE = "bench_telegraf"
TOPIC = Topic("bench.telegraf", "device", "Influx line protocol")
SUBSCRIBE_SECONDS = 30.0
LOOK_SECONDS = 1.0


def program(instance: Instance, tell: Tell) -> Path:
    """Give Telegraf's program, built the first time with the plug-ins that are needed and no others.

    Args:
        instance: in whose software folder it is kept.
        tell: told what is being done.

    Raises:
        Problem: there is no Go here, or the build failed.
    """
    folder = instance.software / f"telegraf-{VERSION}"
    built = folder / "telegraf"
    if built.exists():
        return built
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin:/usr/lib/go/bin")
    if go is None:
        raise Problem(
            "Telegraf is built from its source, and there is no Go compiler here",
            "Install Go 1.24 or newer (https://go.dev/doc/install), or leave --against out.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "go.mod").write_text("module build\n\ngo 1.24\n")
    tell(f"building Telegraf {VERSION}, which takes some minutes the first time")
    _go([go, "get", f"{MODULE}@{VERSION}"], folder)
    _go([go, "build", "-o", "telegraf.partial", "-tags", TAGS, f"{MODULE}/cmd/telegraf"], folder)
    (folder / "telegraf.partial").rename(built)
    return built


def _go(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"GOFLAGS": "-mod=mod"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Problem("Telegraf could not be built:\n  " + "\n  ".join(done.stderr.strip().splitlines()[-6:]))


def prepare(platform: Platform) -> None:
    """Make its topic, with as many partitions as ours, and its database on the same server."""
    kafka_access.make_topics(AdminClient(kafka.client(platform.stack.settings("operator"))), [TOPIC])
    owner = platform.stack.settings(OWNER)
    with postgres.connect(owner) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")
    with postgres.connect(owner, DATABASE) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")


def conninfo(platform: Platform) -> str:
    """Give how to reach its database, as the owner of the server."""
    owner = platform.stack.settings(OWNER)
    return psycopg.conninfo.make_conninfo(
        host=owner["AGORA_DATABASE_HOST"],
        port=owner["AGORA_DATABASE_PORT"],
        user=owner["AGORA_DATABASE_USER"],
        password=owner["AGORA_DATABASE_PASSWORD"],
        dbname=DATABASE,
        options="-c timezone=UTC -c max_parallel_workers_per_gather=0",
    )


def _variables(platform: Platform) -> dict[str, str]:
    """Secrets go by the environment, which other users cannot read."""
    socket = unix_socket(platform.instance)
    if socket is None:
        raise Problem("the path of the broker's socket is too long", "Measure in a checkout with a shorter path.")
    name, password = platform.accounts[-1]
    assert name == PEER, "the last account is the peer's"
    return {
        "PATH": "/usr/bin:/bin",
        "BENCH_MQTT_SOCKET": str(socket),
        "BENCH_MQTT_USERNAME": name,
        "BENCH_MQTT_PASSWORD": password,
        "BENCH_KAFKA": platform.kafka.bootstrap,
        "BENCH_KAFKA_USERNAME": platform.kafka.username,
        "BENCH_KAFKA_PASSWORD": platform.kafka.password.get_secret_value(),
        "BENCH_TOPIC": TOPIC.name,
        "BENCH_DATABASE": conninfo(platform),
    }


@asynccontextmanager
async def running(platform: Platform, telegraf: Path) -> AsyncIterator[None]:
    """Run both halves."""
    started: dict[str, asyncio.subprocess.Process] = {}
    try:
        for half in HALVES:
            with (platform.instance.logs / f"telegraf-{half}.log").open("ab") as log:
                started[half] = await asyncio.create_subprocess_exec(
                    telegraf, "--config", CONFIGURATIONS / f"{half}.conf", env=_variables(platform), stdout=log, stderr=log
                )
            platform.extra[f"telegraf {half.replace('_', ' ')}"] = started[half].pid
        yield
    finally:
        for half, process in started.items():
            platform.extra.pop(f"telegraf {half.replace('_', ' ')}", None)
            if process.returncode is None:
                process.terminate()
            await process.wait()
        await forget_session(platform.instance, *platform.accounts[-1])


async def run_peer(platform: Platform, load: Load, subject: str, tell: Tell) -> Run:
    """Send the same messages by way of Telegraf, which has to be running and subscribed.

    Its latency is taken at the stamp of the commit, a little before anybody could see the row.

    Raises:
        Lost: rows are missing, and no more come.
    """
    async with (
        await AsyncConnection.connect(conninfo(platform), autocommit=True) as books,
        measure.generator(platform, load) as publisher,
    ):
        used = platform.usage(books.info.backend_pid)
        published = await publisher.begin()
        await _await_rows(platform, books, load.messages * READINGS, published.begun - 0.001, tell)
        after = platform.usage(books.info.backend_pid, memory=True)
    rows = await commits.rows_by_commit(conninfo(platform), published.begun - 0.001, "vitals", "time")
    written = sum(count for _, _, count in rows)
    if written != load.messages * READINGS:
        raise Lost(f"Telegraf was sent {load.messages} messages and wrote {written} rows")
    ended = max(committed for committed, _, _ in rows) / 1e6
    run = measure.summary(subject, load, published, ended, after.since(used))
    run.latency = percentiles([((committed - moment) / 1e6, count) for committed, moment, count in rows])
    run.memory, run.rows = after.memory, written
    return run


async def _await_rows(platform: Platform, books: AsyncConnection, wanted: int, since: float, tell: Tell) -> None:
    newest, still = -1, 0.0
    while True:
        count = await _count(books, since)
        tell(f"Telegraf: {wanted - count} rows to come")
        if count >= wanted:
            return
        still = still + LOOK_SECONDS if count == newest else 0.0
        newest = count
        if still > measure.STALL_SECONDS:
            said = "\n".join(last_lines(platform.instance.logs / f"telegraf-{half}.log", 4) for half in HALVES)
            raise Lost(f"{wanted - count} rows did not come from Telegraf; it said last:\n{said}")
        await asyncio.sleep(LOOK_SECONDS)


async def _count(books: AsyncConnection, since: float) -> int:
    try:
        row = await (await books.execute("SELECT count(*) FROM vitals WHERE time >= to_timestamp(%s)", (since,))).fetchone()
    except psycopg.errors.UndefinedTable:
        return 0
    return int(row[0]) if row else 0
