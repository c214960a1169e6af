"""Where processes listen, as the kernel tells it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

LISTENING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""State of a socket that takes what comes from anybody, by the kernel's table."""
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
"""127.0.0.1, the same in IPv6's words, and ::1; as the kernel's tables write them."""


class Ear(NamedTuple):
    """A socket that listens.

    Attributes:
        table: ``tcp``, ``tcp6``, ``udp`` or ``udp6``.
        address: as the kernel's table writes it.
        port: its port.
    """

    table: str
    address: str
    port: int

    @property
    def beyond(self) -> bool:
        """Whether it can be reached from another machine."""
        return self.address not in LOOPBACK


def ears(roots: Iterable[int]) -> set[Ear]:
    """List all sockets on which these processes, or any that they started, listen."""
    inodes = {inode for pid in family(roots) for inode in _sockets(pid)}
    found = set()
    for table, state in LISTENING.items():
        path = Path(f"/proc/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            address, port = fields[1].split(":")
            if fields[3] == state and fields[9] in inodes:
                found.add(Ear(table, address, int(port, 16)))
    return found


def family(roots: Iterable[int]) -> set[int]:
    """Give processes with all that descend from them."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # gone in the meantime
    found = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _sockets(pid: int) -> set[str]:
    """Give the inodes of a process's sockets; asked as its own user, since even root may be kept from others' descriptors."""
    try:
        owner = Path(f"/proc/{pid}").stat()
    except FileNotFoundError:
        return set()
    own = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    command = ["find", f"/proc/{pid}/fd", "-lname", "socket:*", "-printf", "%l\\n"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **own)  # type: ignore[call-overload]
    return {line.removeprefix("socket:[").removesuffix("]") for line in done.stdout.splitlines()}
