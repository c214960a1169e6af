"""Applies a migration that is a file of SQL."""

from __future__ import annotations

from pathlib import Path

from alembic import op


def apply(migration: str) -> None:
    """Run the SQL file that stands beside a migration, all its statements as they are.

    Args:
        migration: the migration's ``__file__``.
    """
    text = Path(migration).with_suffix(".sql").read_text(encoding="utf-8")
    # Past SQLAlchemy, which reads ":name", and without parameters, so that the driver does not read "%I" as a placeholder.
    cursor = op.get_bind().connection.cursor()
    cursor.execute(text)
    cursor.close()
