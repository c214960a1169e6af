"""``agora test``: every test, with the number of tests by kind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree as XML

import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / ".agora" / "test-report.xml"
INSTANCE, PORT_BASE = "AGORA_INSTANCE", "AGORA_PORT_BASE"


def register(app: typer.Typer) -> None:
    """Add ``agora test``."""

    @app.command("test", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, rich_help_panel="Develop")
    def test(
        context: typer.Context,
        fast: Annotated[bool, typer.Option("--fast", help="Only what needs no server; under a minute.")] = False,
    ) -> None:
        """Run the tests, on servers of their own: a running demo is never touched.

        Examples:
          ./agora test
          ./agora test --fast
          ./agora test tests/integration/ingest -k receipt
        """
        raise typer.Exit(run(fast, context.args))


def run(fast: bool, arguments: list[str]) -> int:
    """Run pytest and tell how many tests of each kind there were.

    Args:
        fast: leave out what needs servers or is slow.
        arguments: handed on to pytest.

    Returns:
        pytest's exit code.
    """
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", f"--junitxml={REPORT}", "-o", "junit_family=xunit1", "-q"]
    if fast:
        command += ["-m", "not servers and not slow", "--hypothesis-profile=fast"]
    environment = surroundings(os.environ) | {"PYTHONPATH": str(ROOT)}
    code = subprocess.run([*command, *arguments], cwd=ROOT, env=environment, check=False).returncode
    if REPORT.exists():
        Console().print(_table(REPORT))
    return code


def surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """Choose what of the environment the tests see: nothing of an instance's settings, and an instance of their own.

    Args:
        environment: of this process.

    Returns:
        The variables to run the tests with. They empty their instance again and again, so it is never the one that is named.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith("AGORA_") or name == PORT_BASE}
    if named := environment.get(INSTANCE):
        kept[INSTANCE] = named if named.endswith("test") else f"{named[:27]}-test"
    return kept


def _table(report: Path) -> Table:
    total: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for case in XML.parse(report).iter("testcase"):  # noqa: S314 - our own pytest wrote it a moment ago
        kind = case.get("classname", "tests.other").split(".")[1]
        total[kind] += 1
        seconds[kind] += round(float(case.get("time", "0")) * 1000)
        failed[kind] += case.find("failure") is not None or case.find("error") is not None
    table = Table(title="Tests by kind")
    for heading in ("kind", "tests", "failed", "seconds"):
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    for kind in sorted(total):
        table.add_row(kind, str(total[kind]), str(failed[kind]), f"{seconds[kind] / 1000:.1f}")
    table.add_row("all", str(total.total()), str(failed.total()), f"{seconds.total() / 1000:.1f}", style="bold")
    return table
