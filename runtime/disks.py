"""How much is free on the disks that folders lie on."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Disk:
    """A file system, as far as it was asked for.

    Attributes:
        folders: those that were asked for and lie on it.
        free: bytes that an ordinary account may still write.
    """

    folders: tuple[Path, ...]
    free: int


def look(folders: Iterable[Path]) -> tuple[list[Disk], dict[Path, str]]:
    """Look at the file systems of some folders, at each once.

    The parents must be passable; the folders themselves may be closed to us.

    Args:
        folders: where to look.

    Returns:
        The file systems, and by folder that could not be looked at the name of the exception.
    """
    found: dict[int, Disk] = {}
    unknown: dict[Path, str] = {}
    for folder in folders:
        try:
            device = folder.stat().st_dev
            known = found.get(device) or Disk((), shutil.disk_usage(folder).free)
        except OSError as error:
            unknown[folder] = type(error).__name__
        else:
            found[device] = Disk((*known.folders, folder), known.free)
    return list(found.values()), unknown
