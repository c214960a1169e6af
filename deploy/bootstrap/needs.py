"""Which system packages a command needs here, and which of them are missing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

SERVER_COMMANDS = ("up", "demo", "test", "bench", "chaos", "outage")
"""Commands that start servers. All others need Python alone."""
TEST_COMMANDS = ("test", "lock", "check")
"""Commands that need what is in requirements/test.txt, too."""
HELP = ("--help", "-h")
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SYSTEM_POSTGRES = Path("/usr/lib/postgresql/17")
FIRST_WITH_TIMESCALEDB = 13
"""Debian's first release with a package of TimescaleDB."""
PROGRAMS = {
    "java": "default-jre-headless",
    "mvn": "maven",
    "mosquitto": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "curl": "curl",
    "kcat": "kcat",
    "psql": "postgresql-client",
    "setpriv": "util-linux",
}
"""By program the package it is in: the servers, what fetches them, and the tools for a look from outside."""


def command_of(arguments: Sequence[str]) -> str:
    """Give the sub-command, empty where there is none."""
    return next((argument for argument in arguments if not argument.startswith("-")), "")


def needs_servers(arguments: Sequence[str]) -> bool:
    """Say whether a command line will start servers."""
    if any(argument in HELP for argument in arguments):
        return False
    command = command_of(arguments)
    return command in SERVER_COMMANDS and not (command == "test" and "--fast" in arguments)


def needs_test_libraries(arguments: Sequence[str]) -> bool:
    """Say whether a command line needs the libraries of the tests."""
    return command_of(arguments) in TEST_COMMANDS and not any(argument in HELP for argument in arguments)


def missing_for_environment() -> list[str]:
    """List the packages without which no virtual environment can be made: Debian keeps pip's installer in one of its own."""
    if find_spec("ensurepip") is not None:
        return []
    is_default = sys.executable in ("/usr/bin/python3", f"/usr/bin/python3.{sys.version_info.minor}")
    return ["python3-venv" if is_default else f"python3.{sys.version_info.minor}-venv"]


def missing_for_servers() -> list[str]:
    """List the packages that the servers need and that are not there."""
    missing = [package for program, package in PROGRAMS.items() if not has_program(program)]
    if not Path("/usr/share/zoneinfo/UTC").exists():
        missing.append("tzdata")  # PostgreSQL reads the system's
    return missing + missing_for_postgres()


def missing_for_postgres(release: dict[str, str] | None = None) -> list[str]:
    """List what PostgreSQL with TimescaleDB needs: its package where the system has one, else the tool for a folder of our own.

    Args:
        release: the fields of ``/etc/os-release``, read from there if not given.
    """
    if (SYSTEM_POSTGRES / "lib/timescaledb.so").exists():
        return []
    if has_package_of_timescaledb(os_release() if release is None else release):
        return ["postgresql-17-timescaledb"]
    return [] if has_program("patchelf") else ["patchelf"]


def has_package_of_timescaledb(release: dict[str, str]) -> bool:
    """Say whether the system's own sources have TimescaleDB."""
    version = release.get("VERSION_ID", "0").split(".")[0]
    return release.get("ID") == "debian" and version.isdecimal() and int(version) >= FIRST_WITH_TIMESCALEDB


def os_release() -> dict[str, str]:
    """Read which system this is."""
    path = Path("/etc/os-release")
    lines = path.read_text().splitlines() if path.exists() else []
    return {key: value.strip('"') for key, value in (line.split("=", 1) for line in lines if "=" in line)}


def has_program(name: str) -> bool:
    """Say whether a program is installed, also where an ordinary user's PATH does not look."""
    return bool(shutil.which(name) or shutil.which(name, path=SEARCH))
