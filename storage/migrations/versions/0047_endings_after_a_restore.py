"""What ended after a backup is ended again in the database that was restored from it, and nothing is shown before."""

from __future__ import annotations

from storage.migrations import sql_files

revision = "0047"
down_revision = "0046"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    sql_files.apply(__file__)
