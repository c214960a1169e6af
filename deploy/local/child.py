"""Starting a process that ends with us, knowing it again later, and stopping it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.accounts import Account, caller, write_file
from deploy.local.problems import Problem

LOG_KEPT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Command:
    """How a process is started and stopped.

    Attributes:
        name: what we call it; also its log's name.
        arguments: program and arguments; no secrets, since everybody on the machine can read them.
        environment: all its variables.
        account: who runs it; the caller if None.
        folder: its working folder.
        stop_signal: what asks it to end in good order.
        death_signal: what the kernel sends it when we die without having stopped it.
        before: what to do before each start.
        pid_file: where others look for its process id.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGTERM
    before: Callable[[], None] | None = None
    pid_file: Path | None = None


@dataclass(frozen=True)
class Identity:
    """A process, told apart from a later one with the same number.

    Attributes:
        pid: process id.
        started: when it was started, in clock ticks since the machine's start.
    """

    pid: int
    started: int = field(default=0)

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Give the identity of a living process, None when there is none."""
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = status.rpartition(")")[2].split()  # the name before it may hold anything
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Identity.of(self.pid) == self

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; False when the process is gone."""
        if not self.alive:
            return False
        os.kill(self.pid, number)
        return True


def start(command: Command, log: Path) -> subprocess.Popen[bytes]:
    """Start a process whose output goes to its log and which is asked to end when we die.

    Must be called from a thread that lives as long as the process shall: the kernel watches the thread, not the process.
    """
    prefix = [_setpriv(), "--pdeathsig", command.death_signal.name.removeprefix("SIG")]
    if command.account and command.account.uid != os.geteuid():
        prefix += ["--reuid", str(command.account.uid), "--regid", str(command.account.gid), "--clear-groups"]
    if command.before:
        command.before()
    _rotate(log)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*prefix, "--", *command.arguments],
            env=dict(command.environment),
            cwd=command.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in a terminal is for us; we stop the others in order
        )
    if command.pid_file:
        write_file(command.pid_file, f"{process.pid}\n", caller(), mode=0o644)
    return process


def _setpriv() -> str:
    found = shutil.which("setpriv")
    if not found:
        raise Problem("setpriv is not installed", "sudo apt-get install util-linux")
    return found


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_KEPT_BYTES:
        log.replace(log.with_suffix(".log.1"))


def last_lines(log: Path, count: int = 8) -> str:
    """Give the end of a log, for a message about why a process did not start."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 16384))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
