"""The registry's and the keeper's needs: settled credentials, readings that follow corrected periods, the watchdog's mark."""

from __future__ import annotations

from storage.migrations import sql_files

revision = "0010"
down_revision = "0001"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    sql_files.apply(__file__)
