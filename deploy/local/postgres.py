"""PostgreSQL with TimescaleDB: one server for this machine, a password for every connection."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping

import psycopg

from deploy.local.accounts import Account, caller, empty_folder, make_folder, write_file
from deploy.local.child import Command
from deploy.local.credentials import DATABASE_OWNER, Credentials
from deploy.local.instance import Instance
from deploy.local.problems import Problem
from deploy.local.profiles import Profile
from deploy.local.software import Software

DATABASE = "agora"
MAX_CONNECTIONS = 80


class Postgres:
    """PostgreSQL's folders, configuration and commands in one instance.

    Args:
        instance: where it runs.
        account: who runs it.
        software: its programs.
    """

    def __init__(self, instance: Instance, account: Account, software: Software) -> None:
        self._instance = instance
        self._account = account
        self._software = software
        self._config = instance.config / "postgres"
        self._data = instance.server_data("postgres")
        self._initialised = instance.data / "postgres.initialised"

    def configure(self, credentials: Credentials, profile: Profile) -> None:
        """Write the configuration; make the database's files when they are new or were left half-made."""
        make_folder(self._config, 0o700, self._account)
        write_file(self._config / "postgresql.conf", self._settings(profile), self._account)
        write_file(self._config / "pg_hba.conf", "host all all 127.0.0.1/32 scram-sha-256\n", self._account)
        if not self._initialised.exists():
            self._initialise(credentials)

    def command(self) -> Command:
        """Give the command that runs the server; SIGINT ends it without waiting for its clients."""
        arguments = [str(self._software.postgres_programs / "postgres"), "-c", f"config_file={self._config / 'postgresql.conf'}"]
        return Command(
            "postgres", arguments, _environment(), self._data, self._account, signal.SIGINT, signal.SIGINT, self._clear_stale_lock
        )

    def _initialise(self, credentials: Credentials) -> None:
        make_folder(self._data, 0o700, self._account)
        empty_folder(self._data)
        secret = credentials.database[DATABASE_OWNER]
        password = write_file(self._config / "owner.password", secret, self._account)
        command = [
            str(self._software.postgres_programs / "initdb"),
            f"--pgdata={self._data}",
            f"--username={DATABASE_OWNER}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
            "--no-instructions",
        ]
        ids = {"user": self._account.uid, "group": self._account.gid, "extra_groups": []} if caller().uid == 0 else {}
        done = subprocess.run(  # type: ignore[call-overload]
            command, env=_environment(), cwd=self._data, capture_output=True, text=True, check=False, **ids
        )
        password.unlink()
        if done.returncode:
            raise Problem(f"the database's files could not be made: {done.stderr.strip()[-600:]}")
        write_file(self._initialised, "", caller())

    def _clear_stale_lock(self) -> None:
        """Remove the lock of a killed server: its number may be another process's by now, and would stop the next start."""
        lock = self._data / "postmaster.pid"
        if not lock.exists():
            return
        pid = lock.read_text().splitlines()[0]
        try:
            runs_here = os.path.samefile(f"/proc/{pid}/cwd", self._data)
        except OSError:
            runs_here = False
        if not runs_here:
            lock.unlink()

    def _settings(self, profile: Profile) -> str:
        values: dict[str, str | int] = {
            "data_directory": str(self._data),
            "hba_file": str(self._config / "pg_hba.conf"),
            "ident_file": str(self._data / "pg_ident.conf"),
            "listen_addresses": "127.0.0.1",
            "port": self._instance.ports.postgres,
            "unix_socket_directories": "",
            "max_connections": MAX_CONNECTIONS,
            "password_encryption": "scram-sha-256",
            "shared_preload_libraries": "timescaledb",
            "timescaledb.telemetry_level": "off",
            "timescaledb.max_background_workers": 4,
            "max_worker_processes": 12,
            "max_parallel_workers": 2,
            "shared_buffers": f"{profile.postgres_shared_mib}MB",
            "max_wal_size": f"{profile.postgres_wal_mib}MB",
            "min_wal_size": f"{profile.postgres_wal_kept_mib}MB",
            "checkpoint_completion_target": "0.9",
            "wal_compression": "lz4",
            "track_commit_timestamp": "on" if profile.postgres_commit_times else "off",
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %u ",
            # Statements and the details of an error can hold patients' values: they stay out of the log.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            "log_parameter_max_length": 0,
            "log_parameter_max_length_on_error": 0,
        }
        return "".join(f"{key} = '{str(value).replace(chr(39), chr(39) * 2)}'\n" for key, value in values.items())


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}


def connect(settings: Mapping[str, str], database: str | None = None) -> psycopg.Connection:
    """Connect to the database, each statement a transaction of its own.

    Args:
        settings: the ``AGORA_DATABASE_…`` settings of a role.
        database: another database than theirs.

    Raises:
        psycopg.OperationalError: it does not answer, or not yet.
    """
    return psycopg.connect(
        host=settings["AGORA_DATABASE_HOST"],
        port=settings["AGORA_DATABASE_PORT"],
        user=settings["AGORA_DATABASE_USER"],
        password=settings["AGORA_DATABASE_PASSWORD"],
        dbname=database or settings["AGORA_DATABASE_NAME"],
        connect_timeout=3,
        autocommit=True,
    )


def answers(settings: Mapping[str, str]) -> bool:
    """Say whether the server lets us in and answers a query."""
    try:
        with connect(settings, "postgres") as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False
