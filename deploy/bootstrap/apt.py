"""Installing Debian packages as root, without starting any service they bring. Also runs alone: ``apt.py PACKAGE…``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

POLICY = Path("/usr/sbin/policy-rc.d")
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/agora.conf")
SERVICES = {"mosquitto": "mosquitto.service"}
"""By package the service it would start at each boot; Agora starts its own instead."""


def install(packages: Sequence[str]) -> None:
    """Install packages with their hard dependencies only.

    Args:
        packages: their names.

    Raises:
        subprocess.CalledProcessError: apt failed.
    """
    quiet = ["-qq", "-o", "Dpkg::Use-Pty=0"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    with _no_services(), _no_database_cluster():
        subprocess.run(["apt-get", *quiet, "update"], env=environment, check=True)
        subprocess.run(["apt-get", *quiet, "install", "-y", "--no-install-recommends", *packages], env=environment, check=True)
    for package in packages:
        if package in SERVICES:
            _disable(SERVICES[package])


@contextmanager
def _no_services() -> Iterator[None]:
    """Have Debian's own switch say no to every start of a service while packages are installed; as it was afterwards."""
    kept = POLICY.with_name("policy-rc.d.before-agora")
    if POLICY.exists():
        POLICY.replace(kept)
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
        if kept.exists():
            kept.replace(POLICY)


@contextmanager
def _no_database_cluster() -> Iterator[None]:
    """Keep the package of PostgreSQL from making a database of its own."""
    made = [folder for folder in (NO_CLUSTER.parent, NO_CLUSTER.parent.parent) if not folder.exists()]
    NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
    NO_CLUSTER.write_text("create_main_cluster = false\n")
    try:
        yield
    finally:
        NO_CLUSTER.unlink()
        for folder in made:
            if not any(folder.iterdir()):
                folder.rmdir()


def _disable(service: str) -> None:
    if shutil.which("systemctl"):
        subprocess.run(["systemctl", "disable", "--quiet", service], check=False)


if __name__ == "__main__":
    install(sys.argv[1:])
