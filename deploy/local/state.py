"""What runs in an instance, written by who runs it and read by everybody else."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import IO

from deploy.local.accounts import caller, write_file
from deploy.local.child import Identity
from deploy.local.instance import Instance
from deploy.local.problems import Problem

GLANCE_SECONDS = 0.1


class Phase(StrEnum):
    """How far the start or the stop has come."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True)
class Running:
    """One process of the instance.

    Attributes:
        identity: which process; None between a death and the next start.
        since: when it was started, seconds since 1970.
        restarts: how often it was started again after it died.
    """

    identity: Identity | None
    since: float
    restarts: int = 0

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self.identity is not None and self.identity.alive


@dataclass(frozen=True)
class State:
    """A picture of the instance.

    Attributes:
        phase: how far it is.
        step: what is being done just now.
        problem: why it failed.
        remedy: what to do about that.
        owner: the process that runs all others.
        processes: by name.
        versions: of the servers.
    """

    phase: Phase = Phase.STOPPED
    step: str = ""
    problem: str = ""
    remedy: str = ""
    owner: Identity | None = None
    processes: Mapping[str, Running] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def write(instance: Instance, state: State) -> None:
    """Put a new picture in the place of the old one."""
    write_file(instance.run / "state.json", json.dumps(asdict(state), indent=1), caller())


def read(instance: Instance) -> State:
    """Read the last picture; where its writer died without a word, the phase is ``stopped``."""
    try:
        raw = json.loads((instance.run / "state.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return State()
    processes = {
        name: replace(Running(**entry), identity=_identity(entry["identity"])) for name, entry in raw["processes"].items()
    }
    owner = _identity(raw["owner"])
    phase = Phase(raw["phase"])
    if phase is not Phase.FAILED and not (owner and owner.alive):
        phase = Phase.STOPPED
    return State(phase, raw["step"], raw["problem"], raw["remedy"], owner, processes, raw["versions"])


def _identity(raw: dict[str, int] | None) -> Identity | None:
    return Identity(**raw) if raw else None


def take_lock(instance: Instance) -> IO[str]:
    """Become the only one who starts and stops things in an instance; the lock ends with our process, however that ends.

    Raises:
        Problem: somebody else is that already.
    """
    lock = (instance.run / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise Problem(f"the instance {instance.name!r} runs already", "./agora status, or ./agora down to stop it") from None
    return lock


def is_locked(instance: Instance) -> bool:
    """Say whether somebody runs the instance."""
    if not instance.run.exists():
        return False
    try:
        take_lock(instance).close()
    except Problem:
        return True
    return False


def glances(seconds: float, pause_seconds: float = GLANCE_SECONDS) -> Iterator[float]:
    """Come round again and again, with a pause between, until the time is over; gives the seconds gone by."""
    begun = time.monotonic()
    pause = threading.Event()
    while (gone := time.monotonic() - begun) < seconds:
        yield gone
        pause.wait(pause_seconds)


def wait_gone(identity: Identity, seconds: float) -> bool:
    """Wait for a process, ours or another's, to end; False when it has not by then."""
    for _ in glances(seconds):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(identity.pid, os.WNOHANG)
        if not identity.alive:
            return True
    return not identity.alive
