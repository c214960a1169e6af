"""Finds the rooms' settings and events modules, so that a new one is documented unasked."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("runtime", "ingest", "streams", "storage", "registry", "sharing")
"""Rooms with processes of their own, upstream first."""


def modules(word: str) -> Iterator[ModuleType]:
    """Import the modules of all rooms that are named ``<word>`` or ``…_<word>``.

    Args:
        word: ``settings`` or ``events``.

    Returns:
        The modules, in the order of the rooms and then of their names.
    """
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if path.stem == word or path.stem.endswith(f"_{word}"):
                module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
                if word != "events" or hasattr(module, "Event"):
                    yield module
