"""Getting the servers' programs: Kafka's jars, and PostgreSQL with TimescaleDB where the system has no package of it."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local import private_prefix
from deploy.local.instance import Instance
from deploy.local.problems import Problem

HERE = Path(__file__).parent
KAFKA_VERSION = "4.1.1"
JAVA_LEAST = 17
POSTGRES_VERSION = "17"
SYSTEM_POSTGRES = Path("/usr/lib/postgresql") / POSTGRES_VERSION
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Software:
    """Where the servers' programs are.

    Attributes:
        java: the Java launcher.
        kafka_jars: the folder of Kafka's jars.
        postgres_programs: the folder with ``postgres`` and ``initdb``.
        mosquitto: the MQTT broker.
    """

    java: Path
    kafka_jars: Path
    postgres_programs: Path
    mosquitto: Path


def run(command: Sequence[str | Path], what: str) -> str:
    """Run a command to its end.

    Args:
        command: program and arguments.
        what: what it does, for the message when it fails.

    Returns:
        Its standard output.

    Raises:
        Problem: it failed; with the last lines of what it said.
    """
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-6:]
        raise Problem(f"{what} failed: " + "\n  ".join(["", *said]))
    return done.stdout


def find_program(name: str, package: str) -> Path:
    """Find a program in PATH or where the system keeps its servers.

    Raises:
        Problem: it is not installed.
    """
    found = shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")
    if not found:
        raise Problem(f"{name} is not installed", f"sudo apt-get install --no-install-recommends {package}")
    return Path(found)


def java_version(java: Path) -> int:
    """Give a Java runtime's major version, 0 where it does not tell."""
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', said.stderr)
    return int(found.group(1)) if found else 0


def install(
    instance: Instance, progress: Progress, *, kafka: bool = True, postgres: bool = True, mosquitto: bool = True
) -> Software:
    """Make sure that the servers' programs are there; the second time it only looks.

    Args:
        instance: whose software folder to use.
        progress: told what is being done.
        kafka: whether Kafka is needed here.
        postgres: whether PostgreSQL is needed here.
        mosquitto: whether the MQTT broker is needed here.

    Returns:
        Where everything is; folders of what is not needed may be missing.

    Raises:
        Problem: something is missing and could not be installed.
    """
    java = find_program("java", "default-jre-headless") if kafka else Path("java")
    if kafka and java_version(java) < JAVA_LEAST:
        raise Problem(
            f"{java} is older than Java {JAVA_LEAST}", "sudo apt-get install --no-install-recommends default-jre-headless"
        )
    broker = find_program("mosquitto", "mosquitto") if mosquitto else Path("mosquitto")
    with _one_at_a_time(instance.software):
        jars = _install_kafka(instance.software, progress) if kafka else instance.software
        programs = _install_postgres(instance.software, progress) if postgres else instance.software
    return Software(java, jars, programs, broker)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install_kafka(software: Path, progress: Progress) -> Path:
    jars = software / f"kafka-{KAFKA_VERSION}"
    stamp = jars / ".complete"
    wanted = hashlib.sha256((HERE / "kafka.sha256").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return jars
    progress(f"Kafka {KAFKA_VERSION}: downloading (about 45 MB)")
    shutil.rmtree(jars, ignore_errors=True)
    _download_kafka(software, jars)
    _check_kafka(jars)
    stamp.write_text(wanted)
    return jars


def _download_kafka(software: Path, jars: Path) -> None:
    maven = find_program("mvn", "maven")
    repository = software / "maven"
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={jars}"]
    run(
        [maven, "-q", "-B", "-ntp", "-f", HERE / "pom.xml", f"-Dmaven.repo.local={repository}", *goal],
        "Downloading Kafka with Maven",
    )
    shutil.rmtree(repository, ignore_errors=True)  # twice the jars' size, and of no more use


def _check_kafka(jars: Path) -> None:
    lines = (HERE / "kafka.sha256").read_text().splitlines()
    expected = {name: digest for digest, name in (line.split() for line in lines)}
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars.glob("*.jar")}
    if found != expected:
        wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise Problem(
            f"these of Kafka's jars are not the ones that were locked: {', '.join(wrong)}", "Compare deploy/local/kafka.sha256."
        )


def system_postgres() -> Path | None:
    """Give the folder of the system's own PostgreSQL programs, where it has TimescaleDB with it."""
    has_all = (SYSTEM_POSTGRES / "bin/postgres").exists() and (SYSTEM_POSTGRES / "lib/timescaledb.so").exists()
    return SYSTEM_POSTGRES / "bin" if has_all else None


def _install_postgres(software: Path, progress: Progress) -> Path:
    return system_postgres() or private_prefix.install(software, progress)


def main() -> None:
    """Write ``kafka.sha256`` for the versions in ``pom.xml``; a step for a developer who changes them."""
    instance = Instance.of()
    jars = instance.software / "kafka-lock"
    shutil.rmtree(jars, ignore_errors=True)
    _download_kafka(instance.software, jars)
    lines = [f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n" for jar in sorted(jars.glob("*.jar"))]
    (HERE / "kafka.sha256").write_text("".join(lines))
    shutil.rmtree(jars)


if __name__ == "__main__":
    main()
