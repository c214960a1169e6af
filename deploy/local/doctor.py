"""Looking at what the platform needs on this machine, with a remedy for each thing that is missing."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass

from deploy.bootstrap import needs
from deploy.local import software, state
from deploy.local.instance import CHECKOUT, PROCESSES, Instance
from deploy.local.ports import ELSEWHERE, HANDED_OUT, check_free, handed_out
from deploy.local.preparation import local_servers, server_ports
from deploy.local.problems import Problem

DISK_LEAST_BYTES = 2 * 1024**3
MEMORY_LEAST_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: the thing.
        found: what it is like.
        good: whether it is good enough.
        remedy: what to do when it is not.
    """

    what: str
    found: str
    good: bool = True
    remedy: str = ""


def examine(instance: Instance) -> list[Finding]:
    """Look at everything; changes nothing."""
    checks: list[Callable[[Instance], Finding]] = [
        _java,
        _kafka,
        _postgres,
        _mosquitto,
        _tools,
        _disk,
        _memory,
        _names,
        _ports,
        _runs,
    ]
    return [check(instance) for check in checks]


def _java(_instance: Instance) -> Finding:
    try:
        java = software.find_program("java", "default-jre-headless")
    except Problem as problem:
        return Finding("Java", "missing", False, problem.remedy)
    version = software.java_version(java)
    good = version >= software.JAVA_LEAST
    return Finding("Java", f"{version} ({java})", good, "sudo apt-get install --no-install-recommends default-jre-headless")


def _kafka(instance: Instance) -> Finding:
    if (instance.software / f"kafka-{software.KAFKA_VERSION}" / ".complete").exists():
        return Finding("Kafka", software.KAFKA_VERSION)
    good = needs.has_program("mvn")
    found = (
        "not here yet; the first ./agora up downloads it" if good else "not here yet, and Maven, which downloads it, is missing"
    )
    return Finding("Kafka", found, good, "sudo apt-get install --no-install-recommends maven")


def _postgres(instance: Instance) -> Finding:
    programs = software.system_postgres()
    if programs:
        return Finding("PostgreSQL with TimescaleDB", f"the system's ({programs})")
    if (instance.software / "postgres-17" / ".complete").exists():
        return Finding("PostgreSQL with TimescaleDB", f"in a folder of our own ({instance.software / 'postgres-17'})")
    missing = needs.missing_for_postgres()
    remedy = f"sudo apt-get install --no-install-recommends {' '.join(missing)}"
    return Finding("PostgreSQL with TimescaleDB", "not here yet; the first ./agora up gets it", not missing, remedy)


def _mosquitto(_instance: Instance) -> Finding:
    try:
        program = software.find_program("mosquitto", "mosquitto")
    except Problem as problem:
        return Finding("mosquitto", "missing", False, problem.remedy)
    return Finding("mosquitto", str(program))


def _tools(_instance: Instance) -> Finding:
    wanted = ("mosquitto_pub", "curl", "kcat", "psql", "setpriv")
    missing = [name for name in wanted if not needs.has_program(name)]
    packages = " ".join(needs.PROGRAMS[name] for name in missing)
    found = f"missing: {', '.join(missing)}" if missing else ", ".join(wanted)
    return Finding("tools", found, not missing, f"sudo apt-get install --no-install-recommends {packages}")


def _disk(instance: Instance) -> Finding:
    place = instance.place if instance.place.exists() else CHECKOUT
    free = shutil.disk_usage(place).free
    return Finding("disk", f"{free / 1024**3:.1f} GiB free at {place}", free >= DISK_LEAST_BYTES, "Make room: 2 GiB are needed.")


def _memory(_instance: Instance) -> Finding:
    with open("/proc/meminfo") as file:
        fields = dict(line.split(":", 1) for line in file)
    available = int(fields["MemAvailable"].split()[0]) * 1024
    found = f"{available / 1024**3:.1f} GiB available"
    return Finding("memory", found, available >= MEMORY_LEAST_BYTES, "Close other programs: 2 GiB are needed.")


def _names(_instance: Instance) -> Finding:
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo("localhost", None)}
    except OSError:
        addresses = set()
    return Finding("name localhost", ", ".join(map(str, sorted(addresses, key=str))) or "unknown", "127.0.0.1" in addresses,
                   "Add to /etc/hosts: 127.0.0.1 localhost")  # fmt: skip


def _ports(instance: Instance) -> Finding:
    ports = server_ports(instance, local_servers(instance)) | {"the gateway": instance.ports.gateway}
    ports |= {f"{name}'s metrics": instance.ports.metrics(name) for name in PROCESSES}
    if HANDED_OUT.exists() and (wrong := handed_out(ports, HANDED_OUT.read_text())):
        return Finding("ports", wrong, False, f"Before the next start, {ELSEWHERE}")
    if state.is_locked(instance):
        return Finding("ports", f"from {instance.ports.base} on, in use by this instance")
    try:
        check_free(ports)
    except Problem as problem:
        return Finding("ports", problem.what, False, problem.remedy)
    return Finding("ports", f"from {instance.ports.base} on, free")


def _runs(instance: Instance) -> Finding:
    now = state.read(instance)
    if now.problem:
        return Finding("last start", now.problem, False, now.remedy)
    return Finding("instance", f"{instance.name!r}: {now.phase.value}")
