"""The store may ask for a settlement, and the keeper see what was set aside."""

from __future__ import annotations

from storage.migrations import sql_files

revision = "0048"
down_revision = "0047"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    sql_files.apply(__file__)
