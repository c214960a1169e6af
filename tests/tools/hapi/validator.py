"""HAPI's FHIR validator as a process that answers for one resource at a time; fetched with Maven the first time.

It needs a Java runtime only: the few lines of Java are compiled by Eclipse's compiler, which is one of the jars.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from deploy.local.instance import Instance

HERE = Path(__file__).parent
VERSION = "8.4.0"
CHECKSUMS = HERE / "hapi.sha256"
SOURCE = HERE / "Validate.java"
COMPILER = "org.eclipse.jdt.internal.compiler.batch.Main"
JAVA_RELEASE = "17"


@dataclass(frozen=True)
class Message:
    """What the validator says: ``severity`` is fatal, error, warning or information."""

    severity: str
    location: str
    words: str


def install() -> Path:
    """Fetch the jars and compile the driver, where that is not done yet.

    Returns:
        The folder that holds both.
    """
    folder = Instance.of("test").software
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".hapi.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / f"hapi-{VERSION}"
        stamp = made / ".complete"
        wanted = hashlib.sha256(CHECKSUMS.read_bytes() + SOURCE.read_bytes()).hexdigest()
        if not (stamp.exists() and stamp.read_text() == wanted):
            _make(folder, made)
            stamp.write_text(wanted)
    return made


def _make(folder: Path, made: Path) -> None:
    shutil.rmtree(made, ignore_errors=True)
    repository = folder / "hapi-maven"
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={made / 'jars'}"]
    subprocess.run(["mvn", "-q", "-B", "-ntp", "-f", HERE / "pom.xml", f"-Dmaven.repo.local={repository}", *goal], check=True)
    shutil.rmtree(repository, ignore_errors=True)
    expected = {name: digest for digest, name in map(str.split, CHECKSUMS.read_text().splitlines())}
    found = checksums(made / "jars")
    assert found == expected, sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    classes = made / "classes"
    jars = str(made / "jars" / "*")
    options = [f"-{JAVA_RELEASE}", "-nowarn", "-d", str(classes), "-cp", _class_path(made)]
    subprocess.run(["java", "-cp", jars, COMPILER, *options, str(SOURCE)], check=True)


def checksums(jars: Path) -> dict[str, str]:
    """Give the SHA-256 of each jar."""
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars.glob("*.jar")}


def _class_path(made: Path) -> str:
    return ":".join(str(jar) for jar in sorted((made / "jars").glob("*.jar")))


class Validator:
    """A running validator; use it in a ``with``."""

    def __enter__(self) -> Self:
        made = install()
        command = ["java", "-Xmx768m", "-XX:TieredStopAtLevel=1", "-cp", f"{made / 'classes'}:{made / 'jars' / '*'}", "Validate"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_exception: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=20)

    def messages(self, resource: dict[str, Any]) -> list[Message]:
        """Validate a resource.

        Args:
            resource: as JSON objects.

        Returns:
            Everything the validator says, also what is no error.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(orjson.dumps(resource) + b"\n")
        self._process.stdin.flush()
        messages = []
        while line := self._process.stdout.readline().decode().rstrip("\n"):
            messages.append(Message(*line.split("\t", 2)))
        assert self._process.poll() is None, "the validator died"
        return messages

    def errors(self, resource: dict[str, Any]) -> list[Message]:
        """Validate a resource and give what makes it invalid."""
        return [message for message in self.messages(resource) if message.severity in ("error", "fatal")]
