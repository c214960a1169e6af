"""``agora outage``: servers that are away, or more than fits; and garbage, for ``agora chaos --garbage``: each with a verdict."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.demo_commands import require_folder
from cli.ending import terminate_as_interrupt
from cli.server_commands import progress
from deploy.local import detached
from deploy.local.instance import Instance
from deploy.local.profiles import DENIALS_LOGGED
from deploy.local.view import View

NAME, PORT_BASE = "stress", 24000
BESIDE = 600
"""Where ``AGORA_PORT_BASE`` is set, ports begin so far behind it."""
GARBAGE_WINDOW = 5_000
"""Most messages of garbage without an answer at a time."""
KINDS = ("kafka", "database", "both", "overload", "flood")


def register(app: typer.Typer) -> None:
    """Add ``agora outage``."""
    app.command("outage", rich_help_panel="Develop")(outage)


def outage(
    kind: Annotated[str, typer.Argument(help="kafka, database, both, overload or flood.")],
    seconds: Annotated[float, typer.Option(min=1.0, help="How long it lasts.")] = 600.0,
    rate: Annotated[
        float,
        typer.Option(
            min=0.0, help="Messages a second, in a flood of the others; 0: a third, in an overload three times, of what fits."
        ),
    ] = 200.0,
    report: Annotated[Path | None, typer.Option(help="Write every count as JSON.")] = None,
) -> None:
    """Take Kafka or the database away from a platform of its own under load, or offer it more than fits, and count what it costs.

    Starts an instance that is removed afterwards; a running platform is never touched.

    Some devices keep their messages until the receipt, some trust the broker. In a flood one more sends up to 50 times its
    quota until it is told to stop, and for `--seconds` after that: no other may notice. Exit code 1 where a promise does not
    hold.

    Examples:
      ./agora outage both --seconds 60
      ./agora outage kafka --seconds 600 --rate 0 --report outage.json
      ./agora outage overload --seconds 300 --rate 0
      ./agora outage flood --seconds 60 --rate 0
    """
    if kind not in KINDS:
        raise typer.BadParameter(f"say {', '.join(KINDS)}")
    raise typer.Exit(0 if stress(partial(run_outage, kind=kind, seconds=seconds, rate=rate), report) else 1)


def stress(run: Callable[[View, Console], dict[str, Any]], report: Path | None) -> bool:
    """Start a platform beside any other, stress it, and remove it.

    Args:
        run: stresses it, and gives its report.
        report: where to write that, or None.

    Returns:
        Whether every promise held.
    """
    if report is not None:
        require_folder(report)
    terminate_as_interrupt()
    console = Console(highlight=False)
    instance = Instance.beside(NAME, PORT_BASE, BESIDE)
    # As where a flood must be borne: a line about every packet takes the broker longer than the packet.
    os.environ.setdefault(DENIALS_LOGGED, "0")
    try:
        with progress("starting") as tell:
            detached.down(instance, tell, purge=True, keep_software=True)  # what a run that was killed left
            detached.up(instance, tell)
        found = run(View(instance), console)
    finally:
        with progress("removing") as tell:
            detached.down(instance, tell, purge=True, keep_software=True)
    if report is not None:
        report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        console.print(f"report: {report}", soft_wrap=True)
    return bool(found["passed"])


def run_outage(view: View, console: Console, kind: str, seconds: float, rate: float) -> dict[str, Any]:
    """Run it against a platform that is up.

    Args:
        view: of the instance.
        console: told how far it is, and the verdict.
        kind: one of ``KINDS``.
        seconds: how long.
        rate: messages a second, 0 to find out how much fits.

    Returns:
        The report.
    """
    from bench.chain import machine
    from bench.outage.options import Options
    from bench.outage.run import Outage
    from bench.target import Target

    facts = machine.facts()
    run = Outage(Target.of(view), Options(kind, seconds, rate))
    credentials = run.enrol(lambda words: console.print(words, style="dim"))
    found = asyncio.run(run.run(credentials, lambda words: console.print(words, soft_wrap=True))).as_dict()
    _show(found, console)
    return {"machine": facts} | found


def _show(found: dict[str, Any], console: Console) -> None:
    for check in found["checks"]:
        mark = "[green]holds[/]" if check["passed"] else "[bold red]FAILS[/]"
        console.print(f"{mark}  {check['name']} ({check['detail']})", soft_wrap=True)


def run_garbage(view: View, console: Console, messages: int, seed: int, window: int = GARBAGE_WINDOW) -> dict[str, Any]:
    """Run it against a platform that is up.

    Args:
        view: of the instance.
        console: told how far it is, and the verdict.
        messages: how many.
        seed: of them.
        window: most without an answer at a time.

    Returns:
        The report.
    """
    from bench.garbage.run import Garbage, Options
    from bench.target import Target

    run = Garbage(Target.of(view), Options(messages, seed, window))
    credentials = run.enrol(lambda words: console.print(words, style="dim"))
    found = asyncio.run(run.run(credentials, lambda words: console.print(words, soft_wrap=True))).as_dict()
    for code, number in found["codes"].items():
        console.print(f"{number:>9}  {code}")
    _show(found, console)
    console.print(f"{found['messages_per_second']} messages a second, {found['seconds']} s")
    if (narrowest := found["window"]["narrowest"]) is not None:
        console.print(f"at times only {narrowest} messages were out at a time, since valid readings were slow")
    return found
