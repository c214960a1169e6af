"""The spine: roles, registry, outbox, observations, ledger, quarantine, alerts, consents, access log."""

from __future__ import annotations

from storage.migrations import sql_files

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    sql_files.apply(__file__)
