"""The processes we started: watching them, starting again what died, stopping all of them in good order."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from deploy.local.child import Command, Identity, last_lines, start
from deploy.local.problems import Problem
from deploy.local.state import GLANCE_SECONDS, Running

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 15.0
HEALTHY_SECONDS = 10.0
"""Who ran this long before it died is started again at once; who keeps dying sooner, after ever longer pauses."""


@dataclass
class _Child:
    command: Command
    process: subprocess.Popen[bytes]
    identity: Identity | None
    since: float
    begun: float
    restarts: int = 0
    pause: float = FIRST_PAUSE_SECONDS
    due: float | None = None  # when it is to be started again, after its death


class Children:
    """The processes of one instance.

    All methods must be called from one thread, which must live as long as the processes shall.

    Args:
        logs: the folder of their logs.
        changed: called after each change of what runs.
    """

    def __init__(self, logs: Path, changed: Callable[[], None]) -> None:
        self._logs = logs
        self._changed = changed
        self._children: dict[str, _Child] = {}

    def start(self, command: Command) -> None:
        """Start a process.

        Raises:
            Problem: one of its name runs already.
        """
        if command.name in self._children:
            raise Problem(f"{command.name} runs already")
        self._children[command.name] = self._launch(command)
        self._changed()

    def wait_ready(self, name: str, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until a process does its work.

        Args:
            name: which.
            ready: asks it; tried again and again.
            seconds: how long to wait at most.

        Raises:
            Problem: it died, or was not ready in time; with the end of its log.
        """
        child = self._children[name]
        deadline = time.monotonic() + seconds
        while not ready():
            if self._ended(child, GLANCE_SECONDS):
                raise Problem(
                    f"{name} ended with {child.process.returncode} at its start\n{self._log_end(name)}", f"./agora logs {name}"
                )
            if time.monotonic() > deadline:
                raise Problem(f"{name} did not answer within {seconds:.0f} s\n{self._log_end(name)}", f"./agora logs {name}")

    def tend(self) -> float:
        """Note who died, and start again whose pause is over.

        Returns:
            Seconds until the next start that is due; a minute when there is none.
        """
        now = time.monotonic()
        for child in self._children.values():
            if child.due is None and child.process.poll() is not None:
                child.pause = (
                    FIRST_PAUSE_SECONDS if now - child.begun > HEALTHY_SECONDS else min(child.pause * 2, LONGEST_PAUSE_SECONDS)
                )
                child.due = now + child.pause  # nothing is written before the new start: a busy disk must not delay it
                child.identity = None
            if child.due is not None and child.due <= now:
                self._restart(child)
        dues = [child.due - now for child in self._children.values() if child.due is not None]
        return max(0.0, min([*dues, 60.0]))

    def stop(self, names: Iterable[str], seconds: float) -> list[str]:
        """Ask processes to end, all at once, and kill who has not by the deadline.

        Returns:
            Who had to be killed.
        """
        stopping = [(name, self._children[name]) for name in names if name in self._children]
        for _, child in stopping:
            if child.process.poll() is None:
                child.process.send_signal(child.command.stop_signal)
        deadline = time.monotonic() + seconds
        killed = []
        for name, child in stopping:
            if not self._ended(child, max(0.0, deadline - time.monotonic())):
                child.process.kill()
                child.process.wait()
                killed.append(name)
            del self._children[name]
            if child.command.pid_file:
                child.command.pid_file.unlink(missing_ok=True)
            self._changed()
        return killed

    def names(self) -> list[str]:
        """Give the names of all processes, in the order of their start."""
        return list(self._children)

    def picture(self) -> dict[str, Running]:
        """Give what runs now."""
        return {name: Running(child.identity, child.since, child.restarts) for name, child in self._children.items()}

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a process a signal."""
        self._children[name].process.send_signal(number)

    def _launch(self, command: Command) -> _Child:
        process = start(command, self._logs / f"{command.name}.log")
        return _Child(command, process, Identity.of(process.pid), time.time(), time.monotonic())

    def _restart(self, child: _Child) -> None:
        fresh = self._launch(child.command)
        child.process, child.identity, child.since, child.begun = fresh.process, fresh.identity, fresh.since, fresh.begun
        child.restarts += 1
        child.due = None
        self._changed()

    def _log_end(self, name: str) -> str:
        return last_lines(self._logs / f"{name}.log")

    @staticmethod
    def _ended(child: _Child, seconds: float) -> bool:
        try:
            child.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True
