"""What an app's query may read: row-level security by the consents that hold then; and what the gateway reads beside."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0040"
down_revision = "0030"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
