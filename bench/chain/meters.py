"""Processor time and memory of processes with all their children, as Linux tells them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


class Entry(NamedTuple):
    """One process.

    Attributes:
        parent: its parent's id.
        own: processor seconds of its own.
        ended: processor seconds of its children that have ended.
    """

    parent: int
    own: float
    ended: float


class Database(NamedTuple):
    """The processes of PostgreSQL at one moment.

    Attributes:
        processes: by their id: ``postgres store``, ``postgres keeper`` … or ``postgres itself``, and processor seconds.
    """

    processes: Mapping[int, tuple[str, float]] = MappingProxyType({})

    def since(self, before: Database) -> dict[str, float]:
        """Give the processor seconds since an earlier look by role.

        What a connection that ended meanwhile had used stands in its server's account, the part from before that look too:
        that part is taken off there, so that no role has used less than nothing.
        """
        found = {"postgres itself": 0.0} if self.processes else {}
        for one, (name, used) in self.processes.items():
            found[name] = found.get(name, 0.0) + used - before.processes.get(one, (name, 0.0))[1]
        ended = before.processes.keys() - self.processes.keys()
        if ended:
            found["postgres itself"] = found.get("postgres itself", 0.0) - sum(before.processes[one][1] for one in ended)
        return found


def parse_stat(text: str) -> Entry:
    """Read ``/proc/<pid>/stat``; the program's name in it may hold blanks and brackets.

    Source: proc_pid_stat(5), fields 4 and 14 to 17.
    """
    fields = text.rpartition(")")[2].split()
    user, system, ended_user, ended_system = (int(field) / TICKS for field in fields[11:15])
    return Entry(int(fields[1]), user + system, ended_user + ended_system)


def processes() -> dict[int, Entry]:
    """Read all processes of this machine."""
    found = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has ended meanwhile
                found[int(folder.name)] = parse_stat((folder / "stat").read_text())
    return found


def family(entries: Mapping[int, Entry], pid: int) -> set[int]:
    """Give a process with all its descendants."""
    children: dict[int, list[int]] = {}
    for one, entry in entries.items():
        children.setdefault(entry.parent, []).append(one)
    found, left = set(), [pid]
    while left:
        one = left.pop()
        if one in entries and one not in found:
            found.add(one)
            left += children.get(one, [])
    return found


def cpu_seconds(entries: Mapping[int, Entry], pid: int, without: Iterable[int] = ()) -> float:
    """Add up the processor seconds of a process, its descendants, and those that have ended.

    Args:
        entries: of ``processes``.
        pid: the process.
        without: descendants that are not to be counted.
    """
    return sum(entries[one].own + entries[one].ended for one in family(entries, pid) - set(without))


def proportional_bytes(entries: Mapping[int, Entry], pid: int) -> int:
    """Add up the memory of a process and its descendants, what is shared divided among those who share it (PSS)."""
    total = 0
    for one in family(entries, pid):
        with suppress(OSError):
            for line in (PROC / str(one) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def database(entries: Mapping[int, Entry], pid: int, without: int) -> Database:
    """Look at what each process of PostgreSQL has used, and for which role of ours it works.

    Args:
        entries: of ``processes``.
        pid: of the server.
        without: a server process that is not to be counted.
    """
    found = family(entries, pid) - {without}
    return Database({one: (f"postgres {role_of(_title(one))}", entries[one].own + entries[one].ended) for one in found})


def role_of(title: str) -> str:
    """Read from the title of a server process for which role of ours it works; ``itself`` where for none."""
    words = title.split()
    return words[1].removeprefix("agora_") if len(words) > 1 and words[1].startswith("agora_") else "itself"


def _title(pid: int) -> str:
    with suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
