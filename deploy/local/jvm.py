"""Starting Java with its arguments in a file, so that secrets among them do not stand in the list of processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deploy.local.accounts import Account, write_file


def write_arguments(path: Path, arguments: Sequence[str], owner: Account) -> Path:
    """Write an argument file for ``java @file``.

    Args:
        path: where.
        arguments: options, main class and its arguments; may hold blanks, quotes and backslashes.
        owner: who alone may read it.

    Returns:
        The path.
    """
    return write_file(path, "".join(f"{quote(argument)}\n" for argument in arguments), owner)


def quote(argument: str) -> str:
    """Quote an argument as Java's argument files want it: in double quotes, with backslashes before backslash and quote."""
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
