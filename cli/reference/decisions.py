"""``adr/README.md``: the list of decision records."""

from __future__ import annotations

import re
from pathlib import Path

from cli.reference.found import ROOT
from cli.reference.markdown import page, table
from contracts.errors import AgoraError

ABOUT = "Decisions that two people could take differently, one page each, with what was rejected and why."
TITLE = re.compile(r"^# (\d+)\. (.+)$", re.MULTILINE)
STATUS = re.compile(r"^\**Status:\** (.+)$", re.MULTILINE)


def records(folder: Path = ROOT / "docs" / "adr") -> list[tuple[int, str, str, str]]:
    """Give number, title, status and file of every record, in the order of the numbers.

    Args:
        folder: where they are.

    Raises:
        AgoraError: a record has no title or status in the form of the others.
    """
    found = []
    for path in folder.glob("[0-9]*.md"):
        text = path.read_text()
        title, status = TITLE.search(text), STATUS.search(text)
        if title is None or status is None:
            raise AgoraError(f"{path.name} must begin with '# N. Title' and have a line 'Status: …'")
        found.append((int(title[1]), title[2], status[1], path.name))
    return sorted(found)


def render() -> str:
    """Write the list."""
    rows = ((str(number), f"[{title}]({file})", status) for number, title, status, file in records())
    return page("Decision records", ABOUT, table(("", "Decision", "Status"), rows))
