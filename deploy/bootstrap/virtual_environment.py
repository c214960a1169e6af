"""The virtual environment: made from requirements that are locked by hash, anew only when these change."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.bootstrap.console import run

RUNTIME, TEST = "runtime", "test"
STAMP = "agora.json"


class VirtualEnvironment:
    """The environment of a checkout.

    Args:
        checkout: the application's folder, with ``requirements/``.
        runner: runs a slow command, named by a step; raises ``Failed``.
    """

    def __init__(self, checkout: Path, runner: Callable[[str, Sequence[str], Mapping[str, str] | None], None] = run) -> None:
        self._run = runner
        self._requirements = checkout / "requirements"
        self._folder = checkout / ".venv"
        self._stamp = self._folder / STAMP

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self._folder / "bin" / "python"

    def is_ready(self, *, test: bool) -> bool:
        """Say whether everything the locks name is installed, the tests' libraries included where asked."""
        stamp = self._read_stamp()
        wanted = [RUNTIME, TEST] if test else [RUNTIME]
        return self._is_usable(stamp) and all(stamp.get(name) == self._lock(name) for name in wanted)

    def make(self, *, test: bool) -> None:
        """Make it, or bring it up to date. What was begun and not finished is begun anew: the stamp is written last.

        Args:
            test: with the tests' libraries; once there, they stay.

        Raises:
            Failed: the environment or a library could not be installed.
        """
        with self._one_at_a_time():
            if self.is_ready(test=test):
                return  # another command made it while we waited
            stamp = self._read_stamp()
            if self._is_usable(stamp):
                self._stamp.unlink()
            else:
                self._run("making the Python environment", [sys.executable, "-m", "venv", "--clear", str(self._folder)], None)
            name = TEST if test or TEST in stamp else RUNTIME  # the tests' list has everything of the other, too
            self._install(name)
            names = [RUNTIME, TEST] if name == TEST else [RUNTIME]
            self._stamp.write_text(json.dumps({"python": _python()} | {each: self._lock(each) for each in names}))

    def _install(self, name: str) -> None:
        options = [
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar",
            "off",
            "--only-binary",
            ":all:",
            "--require-hashes",
        ]
        command = [str(self.python), "-m", "pip", "install", *options, "-r", str(self._requirements / f"{name}.txt")]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        self._run("installing Python libraries, each checked by its hash", command, environment)

    def _lock(self, name: str) -> str:
        return hashlib.sha256((self._requirements / f"{name}.txt").read_bytes()).hexdigest()

    def _read_stamp(self) -> Mapping[str, str]:
        try:
            stamp: dict[str, str] = json.loads(self._stamp.read_text())
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return {}
        return stamp

    def _is_usable(self, stamp: Mapping[str, str]) -> bool:
        """Say whether it is finished and of this Python; one whose interpreter is gone (an upgraded system) is not."""
        return stamp.get("python") == _python() and self.python.exists()

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        with (self._requirements / "runtime.txt").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _python() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}"
