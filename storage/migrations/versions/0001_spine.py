"""The spine: roles, registry, outbox, observations, ledger, quarantine, alerts, consents, access log."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    # exec_driver_sql hands the text over as it stands: op.execute would read ":name" as a bound parameter.
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
