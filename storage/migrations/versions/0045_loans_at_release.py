"""An app sees a reading of a subject only where that subject had the device."""

from __future__ import annotations

from storage.migrations import sql_files

revision = "0045"
down_revision = "0044"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    sql_files.apply(__file__)
