"""Showing the processes' logs."""

from __future__ import annotations

from pathlib import Path

import typer

from cli.terminal import plain
from deploy.local.child import last_lines
from deploy.local.instance import Instance
from deploy.local.problems import Problem
from deploy.local.state import glances

FOR_EVER = float("inf")


def show(instance: Instance, process: str, lines: int, *, follow: bool) -> None:
    """Print the end of one log or of all.

    Args:
        instance: whose.
        process: which; all if empty.
        lines: how many of each.
        follow: go on with what is written from now on.

    Raises:
        Problem: there is no such log yet.
    """
    found = {path.stem: path for path in sorted(instance.logs.glob("*.log"))} if instance.logs.exists() else {}
    if process:
        found = {name: path for name, path in found.items() if name == process}
    if not found:
        raise Problem(
            f"there is no log of {process or 'anything'} in the instance {instance.name!r}", "./agora up, or ./agora logs for all"
        )
    for name, path in found.items():
        _print(name, last_lines(path, lines), len(found) > 1)
    if follow:
        _follow(found)


def _follow(logs: dict[str, Path]) -> None:
    places = {name: path.stat().st_size for name, path in logs.items()}
    for _ in glances(FOR_EVER):
        for name, path in logs.items():
            size = path.stat().st_size if path.exists() else 0
            begin = places[name] if size >= places[name] else 0  # a new file in its place
            if size > begin:
                with path.open("rb") as file:
                    file.seek(begin)
                    written = file.read(size - begin)
                whole = written.rpartition(b"\n")[0]  # a line that is still being written comes next time
                _print(name, whole.decode(errors="replace"), len(logs) > 1)
                places[name] = begin + len(whole) + (1 if whole or written.startswith(b"\n") else 0)


def _print(name: str, text: str, named: bool) -> None:
    for line in map(plain, text.split("\n")):
        typer.echo(f"{name:<11} {line}" if named else line)
