"""The memory and the starts of an instance's processes, looked at from outside."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.view import View

MIB = 1024 * 1024
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _descendants(int(child))


def pss(pid: int) -> int:
    """Give the proportional set size of a process and those it started, in bytes; 0 where it has ended."""
    total = 0
    for one in _descendants(pid):
        with contextlib.suppress(OSError):
            found = _PSS.search(Path(f"/proc/{one}/smaps_rollup").read_text())
            total += int(found.group(1)) * 1024 if found else 0
    return total


@dataclass
class Watched:
    """What was seen of the processes so far.

    Attributes:
        starts: by process, which one it was and how often it had been started again.
        before: by process, its memory in bytes at the first look behind the warm-up.
        last: at the last look.
        most: the most at any look.
    """

    starts: dict[str, tuple[int, int]] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)

    def look(self, view: View, baseline: bool = False) -> None:
        """Look once more.

        Args:
            view: of the instance.
            baseline: whether growth is measured from here.
        """
        for name, running in view.state().processes.items():
            if running.identity is None or not running.alive:
                continue
            self.starts.setdefault(name, (running.identity.pid, running.restarts))
            size = pss(running.identity.pid)
            self.last[name] = size
            self.most[name] = max(size, self.most.get(name, 0))
            if baseline:
                self.before[name] = size

    def restarted(self, view: View) -> list[str]:
        """Name the processes that are not those of the first look."""
        now = view.state().processes
        return [
            name
            for name, (pid, restarts) in self.starts.items()
            if name not in now or now[name].identity is None or (now[name].identity.pid, now[name].restarts) != (pid, restarts)  # type: ignore[union-attr]
        ]

    def growth(self) -> Mapping[str, int]:
        """Give by process how much larger it was at the last look than at the baseline, in bytes."""
        return {name: self.last[name] - size for name, size in self.before.items() if name in self.last}

    def report(self) -> dict[str, dict[str, float]]:
        """Give all sizes, in MiB."""
        return {
            name: {
                "before_mib": round(self.before.get(name, 0) / MIB, 1),
                "after_mib": round(size / MIB, 1),
                "most_mib": round(self.most[name] / MIB, 1),
            }
            for name, size in self.last.items()
        }
