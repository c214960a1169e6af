"""Brings the database's schema to the version of this software."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from runtime.settings import DatabaseSettings

FOLDER = Path(__file__).parent / "migrations"


def _config() -> Config:
    config = Config()
    # ConfigParser reads a percent sign as the start of a reference; a checkout's path may hold one.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config


def _url(settings: DatabaseSettings) -> URL:
    return URL.create(
        "postgresql+psycopg",
        username=settings.user,
        password=settings.password.get_secret_value(),
        host=settings.host,
        port=settings.port,
        database=settings.name,
    )


def upgrade(settings: DatabaseSettings) -> str:
    """Apply every migration that is missing, each in a transaction of its own.

    Args:
        settings: the database, as its owner.

    Returns:
        The version the schema now has.
    """
    config = _config()
    engine = create_engine(_url(settings), poolclass=NullPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return current(settings)


def current(settings: DatabaseSettings) -> str:
    """Give the version the schema has, empty before the first migration."""
    engine = create_engine(_url(settings), poolclass=NullPool)
    with engine.connect() as connection:
        return ",".join(sorted(MigrationContext.configure(connection).get_current_heads()))


def head() -> str:
    """Give the version this software expects."""
    return ",".join(sorted(ScriptDirectory.from_config(_config()).get_heads()))
