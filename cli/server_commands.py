"""``agora up``, ``down``, ``status``, ``logs``, ``doctor``: the servers and processes on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from cli import server_logs, server_status
from cli.lock import lock
from deploy.local import detached, doctor
from deploy.local.instance import PROCESSES, SERVERS, Instance
from deploy.local.problems import Problem
from deploy.local.state import Phase, glances, is_locked
from deploy.local.view import View

PANEL = "This machine"
WATCH_SECONDS = 1.0
FOR_EVER = float("inf")
console = Console(stderr=True, highlight=False)


def register(app: typer.Typer) -> None:
    """Add the commands of this room."""
    for command, name in ((up, "up"), (down, "down"), (status, "status"), (logs, "logs"), (check_machine, "doctor")):
        app.command(name, rich_help_panel=PANEL)(command)
    app.command("lock", rich_help_panel="Develop")(lock)


@contextmanager
def progress(words: str) -> Iterator[Callable[[str], None]]:
    """Show the step that is being done; on a terminal in place, elsewhere line by line."""
    if not console.is_terminal:
        yield lambda step: console.print(f"agora: {step}")
        return
    with console.status(words) as shown:
        yield lambda step: shown.update(f"{words}: {step}")


def up(
    servers_only: Annotated[
        bool, typer.Option("--servers-only", help="Start the servers, but none of Agora's processes.")
    ] = False,
) -> None:
    """Start Kafka, TimescaleDB, mosquitto and Agora's processes; harmless when they run already.

    The first time this downloads and sets up the servers. They listen on this machine only; AGORA_PORT_BASE moves their ports,
    AGORA_INSTANCE names a second installation beside the first. Servers that exist already are used when their address is given
    (AGORA_KAFKA_BOOTSTRAP, AGORA_DATABASE_HOST, AGORA_MQTT_HOST, each with an account and its password).

    Examples:
      ./agora up
      AGORA_INSTANCE=second AGORA_PORT_BASE=27000 ./agora up
    """
    instance = Instance.of()
    try:
        with progress("starting") as tell:
            now = detached.up(instance, tell, servers_only=servers_only)
    except KeyboardInterrupt:
        if is_locked(instance):
            console.print("The start goes on without this command. See ./agora status, or stop it: ./agora down")
        raise typer.Exit(130) from None
    Console(highlight=False).print(server_status.table(View(instance)))
    failing = [name for name, running in now.processes.items() if not running.alive]
    if failing:
        raise Problem(f"these keep ending: {', '.join(failing)}; they are started again", f"./agora logs {failing[0]}")
    if not servers_only:
        console.print(
            "Register who takes part: ./agora org add --help · watch patients play: ./agora demo · stop: ./agora down",
            soft_wrap=True,
        )


def down(
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove all data, credentials and logs; with the last instance the downloads, too.")
    ] = False,
) -> None:
    """Stop everything in good order: what is on its way is finished first.

    Examples:
      ./agora down
      ./agora down --purge
    """
    instance = Instance.of()
    with progress("stopping") as tell:
        ran = detached.down(instance, tell, purge=purge)
    console.print("stopped" if ran else "nothing was running", end="" if purge else "\n")
    if purge:
        console.print("; all data removed")


def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: everything in one JSON object.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it, until Ctrl-C.")] = False,
) -> None:
    """Show what runs: processes, ports, restarts, versions and a few counters. Exit code 3 when it does not run.

    Examples:
      ./agora status
      ./agora status --watch
      ./agora status --json | python3 -m json.tool
    """
    view = View(Instance.of())
    if watch:
        with Live(server_status.table(view), console=Console(highlight=False), auto_refresh=False) as live:
            for _ in glances(FOR_EVER, WATCH_SECONDS):
                live.update(server_status.table(view), refresh=True)
    if as_json:
        typer.echo(json.dumps(server_status.as_json(view), indent=2))
    else:
        Console(highlight=False).print(server_status.table(view))
    raise typer.Exit(0 if view.state().phase is Phase.READY else 3)


def logs(
    process: Annotated[
        str, typer.Argument(help=f"One of {', '.join((*PROCESSES, *SERVERS))}, supervisor; all if not given.")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing what is written, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines of each.")] = 20,
) -> None:
    """Show what the processes wrote.

    Examples:
      ./agora logs
      ./agora logs bridge -f
      ./agora logs kafka -n 100
    """
    server_logs.show(Instance.of(), process, lines, follow=follow)


def check_machine() -> None:
    """Check what the platform needs on this machine, and say how to get what is missing. Exit code 1 when something is.

    Examples:
      ./agora doctor
    """
    findings = doctor.examine(Instance.of())
    out = Console(highlight=False)
    for finding in findings:
        mark = "[green]ok [/]" if finding.good else "[bold red]no [/]"
        out.print(f"{mark} {finding.what}: {finding.found}", soft_wrap=True)
        if not finding.good and finding.remedy:
            out.print(f"      {finding.remedy}", soft_wrap=True, markup=False)
    raise typer.Exit(0 if all(finding.good for finding in findings) else 1)
