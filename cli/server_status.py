"""What ``agora status`` shows."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deploy.local.doctor import DISK_LEAST_BYTES
from deploy.local.instance import PROCESSES, SERVERS
from deploy.local.state import Phase, Running
from deploy.local.view import View
from runtime.disks import Disk, look

COUNTERS_SHOWN = 3
DELAYS = {
    "bridge": ("agora_ingest_delay_seconds", "messages wait for Kafka, and behind them others in the broker"),
    "store": ("agora_storage_delay_seconds", "records wait for the database"),
}
"""The process that knows how late live data is at its place, its gauge, and what it means."""
DELAY_SHOWN_SECONDS = 2.0
PREFIX = "agora_"


def table(view: View) -> RenderableType:
    """Give the state as a table for people."""
    state = view.state()
    instance = view.instance
    if not state.processes or state.phase in (Phase.STOPPED, Phase.FAILED):
        return _nothing(view)
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for heading, side in (("process", "left"), ("state", "left"), ("pid", "right"), ("up", "right"), ("restarts", "right")):
        shown.add_column(heading, justify="right" if side == "right" else "left")
    shown.add_column("port", justify="right")
    shown.add_column("version or counters", overflow="fold")
    for name, running in state.processes.items():
        word = Text("runs", "green") if running.alive else Text("died, starts again", "bold red")
        pid = str(running.identity.pid) if running.identity and running.alive else ""
        told = _counters(view, name) if name in PROCESSES else _version(name, state.versions)
        shown.add_row(name, word, pid, _since(running), str(running.restarts), _port(view, name), told)
    words = f"Agora, instance {instance.name!r}: {state.phase.value}" + (f" ({state.step})" if state.step else "")
    return Group(Text(words, "bold"), *room(_disks(view)), *_late(view), shown)


def delays(view: View) -> dict[str, float]:
    """Give by process how many seconds live data is late there, as far as the processes answer."""
    found = {}
    for name, (gauge, _) in DELAYS.items():
        for family in text_string_to_metric_families(view.metrics(name) or ""):
            if family.name == gauge:
                found[name] = round(family.samples[0].value, 1)
    return found


def room(disks: Iterable[Disk]) -> list[Text]:
    """Tell which servers' disks are nearly full.

    Args:
        disks: those of the servers, by folders that are called as they are.
    """
    return [
        Text(
            f"Only {disk.free / 1024**3:.1f} GiB are free on the disk of {', '.join(folder.name for folder in disk.folders)} "
            f"({disk.folders[0]}): make room. Below 1 GiB nothing more is let in.",
            "bold red",
        )
        for disk in disks
        if disk.free < DISK_LEAST_BYTES
    ]


def _disks(view: View) -> list[Disk]:
    """Look where the servers started here write; what is not there, or cannot be looked at, is left out."""
    return look(view.instance.server_data(name) for name in SERVERS)[0]


def _late(view: View) -> list[Text]:
    return [
        Text(f"Live data is {seconds:.0f} s late at {name}: {DELAYS[name][1]}.", "bold yellow")
        for name, seconds in delays(view).items()
        if seconds >= DELAY_SHOWN_SECONDS
    ]


def as_json(view: View) -> dict[str, Any]:
    """Give the state for programs."""
    state = view.state()
    processes = {}
    for name, running in state.processes.items():
        processes[name] = {
            "alive": running.alive,
            "pid": running.identity.pid if running.identity and running.alive else None,
            "uptime_seconds": round(time.time() - running.since, 1) if running.alive else None,
            "restarts": running.restarts,
            "counters": _all_counters(view, name) if name in PROCESSES else {},
        }
    return {
        "instance": view.instance.name,
        "phase": state.phase.value,
        "step": state.step,
        "problem": state.problem,
        "remedy": state.remedy,
        "ports": view.instance.ports.named(),
        "versions": dict(state.versions),
        "delay_seconds": delays(view),
        "disk_free_bytes": {folder.name: disk.free for disk in _disks(view) for folder in disk.folders},
        "processes": processes,
    }


def _nothing(view: View) -> RenderableType:
    state = view.state()
    lines = [Text(f"Agora, instance {view.instance.name!r}: does not run", "bold")]
    if state.problem:
        lines += [Text(f"The last start failed: {state.problem}"), Text(state.remedy)]
    lines.append(Text("./agora demo shows it with patients and apps; ./agora up starts it empty."))
    return Group(*lines)


def _since(running: Running) -> str:
    if not running.alive:
        return ""
    seconds = int(time.time() - running.since)
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds % 60:02} s" if minutes else f"{seconds} s"


def _port(view: View, name: str) -> str:
    ports = view.instance.ports
    servers = {"postgres": ports.postgres, "kafka": ports.kafka_internal, "mosquitto": ports.mqtt, "gateway": ports.gateway}
    return str(servers.get(name, ports.metrics(name) if name in PROCESSES else ""))


def _version(name: str, versions: object) -> str:
    known = dict(versions) if isinstance(versions, dict) else {}
    if name == "postgres":
        return f"{known.get('PostgreSQL', '')}, TimescaleDB {known.get('TimescaleDB', '')}, schema {known.get('schema', '')}"
    return str(known.get({"kafka": "Kafka"}.get(name, name), ""))


def _all_counters(view: View, name: str) -> dict[str, float]:
    """Add up each counter of a process over its labels; nothing where it does not answer."""
    text = view.metrics(name)
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text) if text else ():
        if family.type == "counter" and family.name.startswith(PREFIX):
            sums[family.name] = sum(sample.value for sample in family.samples if sample.name.endswith("_total"))
    return sums


def _counters(view: View, name: str) -> str:
    """Show the busiest counters, by the words of their names; those at 0 would only take room."""
    counted = [(counter, value) for counter, value in _all_counters(view, name).items() if value]
    busiest = sorted(counted, key=lambda entry: -entry[1])[:COUNTERS_SHOWN]
    words = (f"{counter.removeprefix(PREFIX).split('_', 1)[-1].replace('_', ' ')} {value:,.0f}" for counter, value in busiest)
    return ", ".join(words) or "nothing to do yet"
