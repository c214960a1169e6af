"""``agora lock``: writes the requirements' locks anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.local.instance import CHECKOUT
from deploy.local.problems import Problem

LEAST_PYTHON = "3.11"
OPTIONS = ("--quiet", "--universal", "--python-version", LEAST_PYTHON, "--generate-hashes", "--no-annotate", "--no-header")


def lock(
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Take the newest versions of everything, too.")] = False,
) -> None:
    """Write requirements/*.txt from requirements/*.in: every library with its hash, for each Python Agora runs on.

    Versions that are locked stay, unless --upgrade is given. The next ./agora installs what changed.

    Examples:
      ./agora lock
      ./agora lock --upgrade
    """
    for name in ("runtime", "test"):
        _compile(CHECKOUT / "requirements" / name, ["--upgrade"] if upgrade else [])


def _compile(path: Path, more: list[str]) -> None:
    program = Path(sys.executable).with_name("uv")
    if not program.exists():
        raise Problem("uv, which writes the locks, is missing", "./agora lock installs it; call that rather than python -m cli")
    command = [str(program), "pip", "compile", *OPTIONS, *more, f"{path}.in", "--output-file", f"{path}.txt"]
    if subprocess.run(command, cwd=CHECKOUT, check=False).returncode:
        raise Problem(f"{path.name}.in could not be locked; why stands above")
