"""The database's schema, and the roles' passwords."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import LiteralString

import psycopg
from psycopg import sql

from deploy.local.credentials import DATABASE_OWNER
from deploy.local.instance import CHECKOUT
from deploy.local.problems import Problem

MIGRATE = """
from runtime.settings import DatabaseSettings, load
from storage.migrate import upgrade
print(upgrade(load(DatabaseSettings)))
"""
"""Run in a process of its own: what migrations import, the supervisor need not keep in memory for ever."""


def make_database(connection: psycopg.Connection, name: str) -> None:
    """Make the database, where it is missing.

    Args:
        connection: the owner's, to any database, each statement a transaction of its own.
        name: the database.
    """
    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def migrate(owner: Mapping[str, str]) -> str:
    """Bring the schema to its newest version.

    Args:
        owner: the ``AGORA_DATABASE_…`` settings of the schema's owner.

    Returns:
        The version it now has.

    Raises:
        Problem: a migration failed; the schema is then as before it.
    """
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(CHECKOUT), **owner}
    command = [sys.executable, "-c", MIGRATE]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        said = "\n  ".join(
            [line for line in lines if "Error" in line][-2:] or lines[-4:]
        )  # the statement that failed can be long
        raise Problem(f"the database's schema could not be brought up to date:\n  {said}")
    return done.stdout.strip()


def set_passwords(connection: psycopg.Connection, passwords: Mapping[str, str]) -> None:
    """Let the services' roles log in, each with its password.

    Args:
        connection: the owner's.
        passwords: by role; roles the schema does not know are left out.
    """
    known = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
    for role, password in passwords.items():
        if role in known and role != DATABASE_OWNER:
            statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
            connection.execute(statement)


def versions(connection: psycopg.Connection) -> dict[str, str]:
    """Tell the server's version and TimescaleDB's, with its edition: the Apache one lacks compression and aggregates."""
    found = {"PostgreSQL": _shown(connection, "SHOW server_version").split()[0]}
    timescale = _shown(connection, "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
    if timescale:
        found["TimescaleDB"] = f"{timescale} ({_shown(connection, 'SHOW timescaledb.license')})"
    return found


def _shown(connection: psycopg.Connection, query: LiteralString) -> str:
    row = connection.execute(query).fetchone()
    return str(row[0]) if row else ""
