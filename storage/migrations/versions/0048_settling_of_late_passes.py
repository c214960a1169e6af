"""The store asks for a settlement where a worker that stood still brought readings after another pass."""

from __future__ import annotations

from storage.migrations import sql_files

revision = "0048"
down_revision = "0045"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    sql_files.apply(__file__)
