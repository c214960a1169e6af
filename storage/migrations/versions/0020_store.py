"""What the store needs beside the spine: where a refused reading came from, and room for rows that change often."""

from __future__ import annotations

from storage.migrations import sql_files

revision = "0020"
down_revision = "0010"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    sql_files.apply(__file__)
