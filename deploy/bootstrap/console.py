"""Telling what is being done while something slow runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence

LINES_KEPT = 15


class Failed(Exception):
    """The set-up cannot go on.

    Args:
        words: what is wrong, and what to do.
        code: the command's exit code.
    """

    def __init__(self, words: str, code: int = 1) -> None:
        super().__init__(words)
        self.code = code


def say(words: str) -> None:
    """Print a line on standard error, so that standard output stays the command's own."""
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def run(step: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run something slow; on a terminal with its last line shown in place, elsewhere with a line before and after.

    Args:
        step: what it does, in words.
        command: program and arguments.
        environment: its variables; ours if not given.

    Raises:
        Failed: it failed; with the end of what it said.
    """
    begun = time.monotonic()
    live = sys.stderr.isatty()
    if not live:
        say(f"agora: {step}")
    last: deque[str] = deque(maxlen=LINES_KEPT)
    with subprocess.Popen(
        list(command), env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            last.append(line.rstrip())
            if live:
                _show(f"agora: {step}  {time.monotonic() - begun:.0f} s  {last[-1].strip()}")
    if live:
        _show("")
    if process.returncode:
        raise Failed(f"agora: {step}: failed\n  " + "\n  ".join(last))
    say(f"agora: {step}: done in {time.monotonic() - begun:.0f} s")


def _show(words: str) -> None:
    width = shutil.get_terminal_size().columns - 1
    sys.stderr.write(f"\r\033[K{words[:width]}")
    sys.stderr.flush()
