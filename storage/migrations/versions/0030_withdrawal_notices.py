"""The notices to apps that a consent ended."""

from __future__ import annotations

from storage.migrations import sql_files

revision = "0030"
down_revision = "0020"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    sql_files.apply(__file__)
