"""mosquitto's password file: written as a whole, then the broker told to read it again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

MODE = 0o640
"""The keeper writes, the broker's group reads; the group comes from the folder."""
BROKER = "mosquitto"


def compose(services: str, devices: Iterable[tuple[str, str]]) -> str:
    """Make the file's contents.

    Args:
        services: password lines of the platform's own accounts.
        devices: user name and ``$7$`` hash each.

    Returns:
        The services' lines, then the devices' in the order of their names, so that equal accounts give equal files.
    """
    lines = [line for line in services.splitlines() if line.strip()]
    lines += [f"{user}:{hashed}" for user, hashed in sorted(devices)]
    return "".join(f"{line}\n" for line in lines)


Stamp = tuple[int, int, int]
"""What changes whenever a file is written by somebody: its inode, size and time."""


def write(path: Path, text: str) -> Stamp:
    """Replace the file at once: a reader sees the old one or the new one, also after a crash of the machine.

    Returns:
        The stamp of what was written, also if somebody else replaces it in the next moment.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), MODE)  # whatever the umask
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            written = _stamp(os.fstat(file.fileno()))
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return written


def read(path: Path) -> str:
    """Read a file, empty where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def stamp(path: Path) -> Stamp | None:
    """Give a file's stamp, or None where there is none."""
    try:
        return _stamp(path.stat())
    except FileNotFoundError:
        return None


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_ino, found.st_size, found.st_mtime_ns


def broker_pid(pid_file: Path) -> int | None:
    """Find the running broker.

    Returns:
        Its process id; None where the file names no living mosquitto, since the number may long be another's.
    """
    try:
        pid = int(pid_file.read_text())
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        return None
    return pid if name == BROKER else None


def reload(pid: int) -> bool:
    """Tell the broker to read its passwords again: who is no longer in the file is cut off.

    Returns:
        Whether it was told; it may have ended in this moment.
    """
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError:
        return False
    return True
