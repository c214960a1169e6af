"""``agora docs``: the generated part of the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.reference import pages, schemas

_notes = Console(stderr=True, highlight=False)


def register(app: typer.Typer) -> None:
    """Add ``agora docs``."""
    app.command("docs", rich_help_panel="Develop")(docs)


def docs(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 when something differs.")] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="Record the JSON Schemas as published, to be kept compatible.")
    ] = False,
) -> None:
    """Make docs/reference from the code (topics, settings, events, errors, vitals, devices, commands, schemas) and list the ADRs.

    A JSON Schema that would break whoever relies on the published one is refused.

    Examples:
      ./agora docs
      ./agora docs --check
    """
    raise typer.Exit(run(pages.FOLDER, check=check, publish=publish))


def run(folder: Path, *, check: bool, publish: bool) -> int:
    """Make or compare the reference.

    Args:
        folder: where it stands.
        check: write nothing.
        publish: record the schemas as published.

    Returns:
        0, or 1 when something differs or a schema would break.
    """
    breaking = schemas.breaking(pages.published(folder))
    for file, problems in breaking.items():
        _notes.print(
            f"{file} would break whoever relies on it:", *(f"  {problem}" for problem in problems), sep="\n", markup=False
        )
    if breaking:
        _notes.print("Undo the change, or give the new form a version of its own (cli/reference/schemas.py).")
        return 1
    changed = pages.differing(folder) if check else pages.write(folder)
    for name in changed:
        _notes.print(f"{'differs' if check else 'written'}: docs/{name}", markup=False)
    if publish and not check:
        pages.publish(folder)
    return 1 if check and changed else 0
