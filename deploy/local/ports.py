"""Seeing before a start that a port is taken, and by whom."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

from deploy.local.problems import Problem

LISTENING = "0A"
HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
ELSEWHERE = "choose where Agora's ports begin, for example: AGORA_PORT_BASE=27000 ./agora up"


def check_free(ports: Mapping[str, int]) -> None:
    """Make sure that ports of this machine can be opened.

    Args:
        ports: by what each is for.

    Raises:
        Problem: naming the first that is taken and, where that can be seen, who has it.
    """
    for what, port in ports.items():
        if _taken(port):
            raise Problem(
                f"port {port}, which {what} needs, is taken{_by_whom(port)}",
                f"Stop that program, or {ELSEWHERE}",
            )


def handed_out(ports: Mapping[str, int], between: str) -> str:
    """Say where ports lie among those the system gives to clients: a server that starts again may find one taken for a moment.

    Args:
        ports: by what each is for.
        between: the system's first and last, as ``HANDED_OUT`` holds them.

    Returns:
        What is wrong, in words; empty where nothing is.
    """
    low, high = (int(one) for one in between.split())
    inside = [port for port in ports.values() if low <= port <= high]
    return f"port {min(inside)} and others lie among those the system hands out to clients ({low} to {high})" if inside else ""


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _by_whom(port: int) -> str:
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(descriptor.readlink()) in sockets:
                process = descriptor.parents[1]
                return f" by {(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue  # gone in the meantime, or another user's
    return ""


def _listening_inodes(port: int) -> list[str]:
    found = []
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        lines = table.read_text().splitlines()[1:] if table.exists() else []
        for line in lines:
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rsplit(":", 1)[1], 16) == port:
                found.append(fields[9])
    return found
