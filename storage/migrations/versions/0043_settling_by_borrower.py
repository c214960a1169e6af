"""A settlement finds a device's readings through whoever had it."""

from __future__ import annotations

from storage.migrations import sql_files

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    sql_files.apply(__file__)
