"""All of ``docs`` that is generated: made, compared, written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cli.reference import apps, commands, decisions, devices, errors, events, schemas, settings, topics, vitals
from cli.reference.found import ROOT

FOLDER = ROOT / "docs"
SCHEMAS_FOLDER = "reference/schemas"
PUBLISHED = f"{SCHEMAS_FOLDER}/published.json"


def pages() -> dict[str, str]:
    """Make every generated file.

    Returns:
        Its text by path below ``docs``.
    """
    made = {
        "adr/README.md": decisions.render(),
        "reference/apps.md": apps.render(),
        "reference/cli.md": commands.render(),
        "reference/devices.md": devices.render(),
        "reference/errors.md": errors.render(),
        "reference/events.md": events.render(),
        "reference/settings.md": settings.render(),
        "reference/topics.md": topics.render(),
        "reference/vitals.md": vitals.render(),
        f"{SCHEMAS_FOLDER}/README.md": schemas.render(),
    }
    return made | {f"{SCHEMAS_FOLDER}/{one.file}": schemas.text(one.schema()) for one in schemas.SCHEMAS}


def differing(folder: Path = FOLDER) -> list[str]:
    """Name the files that are missing, differ from what the code says, or are no longer generated.

    Args:
        folder: where they are.
    """
    made = pages()
    differ = {name for name, text in made.items() if not (folder / name).exists() or (folder / name).read_text() != text}
    left = {f"{SCHEMAS_FOLDER}/{path.name}" for path in folder.glob(f"{SCHEMAS_FOLDER}/*.json")} - made.keys() - {PUBLISHED}
    return sorted(differ | left)


def write(folder: Path = FOLDER) -> list[str]:
    """Write what differs, and remove schemas that are no more.

    Args:
        folder: where the files are.

    Returns:
        What was written or removed.
    """
    made = pages()
    changed = differing(folder)
    for name in changed:
        path = folder / name
        if name in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[name])
        else:
            path.unlink()
    return changed


def published(folder: Path = FOLDER) -> dict[str, Any]:
    """Read the schemas that were published, by file name; none before the first time."""
    path = folder / PUBLISHED
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def publish(folder: Path = FOLDER) -> None:
    """Record the schemas as they are as published; whoever calls it has made sure that none breaks."""
    path = folder / PUBLISHED
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(schemas.text({one.file: one.schema() for one in schemas.SCHEMAS}))
