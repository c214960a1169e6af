"""Each device numbers its own sites, so that none can use up what others need."""

from __future__ import annotations

from storage.migrations import sql_files

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    sql_files.apply(__file__)
