"""Processor time and memory of processes with all their children, as Linux tells them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
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


def by_role(entries: Mapping[int, Entry], pid: int, without: int) -> dict[str, float]:
    """Split PostgreSQL's processor seconds by the role that its server processes work for.

    Args:
        entries: of ``processes``.
        pid: of the server.
        without: a server process that is not to be counted.

    Returns:
        ``postgres store``, ``postgres keeper`` …; ``postgres itself`` for its own processes and for those that have ended.
    """
    found = {"postgres itself": 0.0}
    for one in family(entries, pid) - {without}:
        name = f"postgres {role_of(_title(one))}"
        found[name] = found.get(name, 0.0) + entries[one].own + entries[one].ended
    return found


def role_of(title: str) -> str:
    """Read from the title of a server process for which role of ours it works; ``itself`` where for none."""
    words = title.split()
    return words[1].removeprefix("agora_") if len(words) > 1 and words[1].startswith("agora_") else "itself"


def _title(pid: int) -> str:
    with suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
