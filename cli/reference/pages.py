"""All of ``docs/reference`` that is generated: made, compared, written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cli.reference import commands, devices, errors, events, schemas, settings, topics, vitals
from cli.reference.found import ROOT

FOLDER = ROOT / "docs" / "reference"
PUBLISHED = "schemas/published.json"


def pages() -> dict[str, str]:
    """Make every generated file.

    Returns:
        Its text by path below ``docs/reference``.
    """
    made = {
        "cli.md": commands.render(),
        "devices.md": devices.render(),
        "errors.md": errors.render(),
        "events.md": events.render(),
        "settings.md": settings.render(),
        "topics.md": topics.render(),
        "vitals.md": vitals.render(),
        "schemas/README.md": schemas.render(),
    }
    return made | {f"schemas/{one.file}": schemas.text(one.schema()) for one in schemas.SCHEMAS}


def differing(folder: Path = FOLDER) -> list[str]:
    """Name the files that are missing, differ from what the code says, or are no longer generated.

    Args:
        folder: where they are.
    """
    made = pages()
    differ = {name for name, text in made.items() if not (folder / name).exists() or (folder / name).read_text() != text}
    left = {f"schemas/{path.name}" for path in folder.glob("schemas/*.json")} - made.keys() - {PUBLISHED}
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
