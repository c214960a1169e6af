"""Which messages a vitals record accounts for."""

from __future__ import annotations

from storage.migrations import sql_files

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    sql_files.apply(__file__)
