"""Gets ready what a command needs, then becomes that command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.bootstrap import apt, needs
from deploy.bootstrap.console import Failed, run, say
from deploy.bootstrap.virtual_environment import VirtualEnvironment

CHECKOUT = Path(__file__).resolve().parents[2]
MISSING_PACKAGES_CODE = 3
"""Exit code where system packages are missing and we may not install them."""


def main(arguments: Sequence[str]) -> int:
    """Run ``./agora``.

    Args:
        arguments: the command line after the program's name.

    Returns:
        An exit code, where the command could not be started.
    """
    try:
        python = _get_ready(arguments)
    except Failed as failed:
        say(str(failed))
        return failed.code
    except KeyboardInterrupt:
        say("\nagora: interrupted; the next call goes on from here")
        return 130
    # -P: whatever lies in the folder we were called from is not to be imported.
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    command = [str(python), "-P", "-m", "cli", *arguments]
    return os.execve(python, command, environment)  # noqa: S606 - no shell wanted


def _get_ready(arguments: Sequence[str]) -> Path:
    environment = VirtualEnvironment(CHECKOUT)
    test = needs.needs_test_libraries(arguments)
    ready = environment.is_ready(test=test)
    missing = [] if ready else needs.missing_for_environment()
    if needs.needs_servers(arguments):
        missing += needs.missing_for_servers()
    if missing:
        _install_packages(missing)
    if not ready:
        environment.make(test=test)
    return environment.python


def _install_packages(packages: list[str]) -> None:
    by_hand = f"sudo sh -c 'apt-get update && apt-get install --no-install-recommends {' '.join(packages)}'"
    if not shutil.which("apt-get"):
        words = f"agora: these programs are missing, by the names of Debian's packages: {' '.join(packages)}"
        raise Failed(words, MISSING_PACKAGES_CODE)
    prefix = _root_prefix()
    if prefix is None:
        raise Failed(
            f"agora: system packages are missing. Run this line, then try again:\n\n  {by_hand}\n", MISSING_PACKAGES_CODE
        )
    try:
        run(f"installing {', '.join(packages)}", [*prefix, sys.executable, apt.__file__, *packages])
    except Failed as failed:
        raise Failed(f"{failed}\nagora: to try by hand: {by_hand}", MISSING_PACKAGES_CODE) from None


def _root_prefix() -> list[str] | None:
    """Give what to put before a command so that it runs as root; None where we may not."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], check=False, capture_output=True).returncode == 0:
        return ["sudo", "-n"]
    return None
