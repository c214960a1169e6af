"""``agora demo``: everything at once, on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.server_commands import progress
from deploy.local import detached
from deploy.local.child import last_lines
from deploy.local.instance import PROCESSES, Instance
from deploy.local.problems import Problem
from deploy.local.state import Phase, glances, is_locked
from deploy.local.view import View

PROCESS_SECONDS = 45.0


def register(app: typer.Typer) -> None:
    """Add ``agora demo``."""
    app.command("demo", rich_help_panel="This machine")(demo)


def demo(
    seconds: Annotated[float, typer.Option(min=0.0, help="How long the devices publish; 0 until Ctrl-C.")] = 0.0,
    speed: Annotated[float, typer.Option(min=1.0, max=3600.0, help="Seconds of a patient's time in one second.")] = 600.0,
    patients: Annotated[int, typer.Option(min=4, max=200, help="How many, recorded and synthetic in turn.")] = 12,
    headless: Annotated[bool, typer.Option("--headless", help="A line now and then instead of the live picture.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write every count, percentile and server version as JSON.")] = None,
    kills: Annotated[bool, typer.Option("--kills/--no-kills", help="Kill each process of ours once on the way.")] = True,
) -> None:
    """Watch recorded intensive-care patients stream in as home devices, through to two companies' apps.

    Starts the servers and processes (the first time it installs them), enrols patients, devices, apps and consents, lets the
    devices publish, some of them badly, kills each of our processes once, withdraws a consent, and then counts: exit code 1 where
    a reading is missing, doubled or seen by the wrong app.

    Examples:
      ./agora demo
      ./agora demo --seconds 90 --headless --report demo.json
      ./agora demo --patients 40 --speed 1200 --no-kills
    """
    if report is not None:
        require_folder(report)
    instance = Instance.of()
    console = Console(highlight=False)
    ran = View(instance).state().phase is Phase.READY and View(instance).answers("kafka")
    try:
        with progress("starting") as tell:
            detached.up(instance, tell)
        _wait_for_all(View(instance))
        found = _run(View(instance), console, headless, seconds, speed, patients, kills)
    finally:
        if not ran and is_locked(instance):
            with progress("stopping") as tell:
                detached.down(instance, tell)
    if report is not None:
        report.write_text(json.dumps(found, indent=2, default=str) + "\n", encoding="utf-8")
        console.print(f"report: {report}", soft_wrap=True)
    raise typer.Exit(0 if found["passed"] else 1)


def require_folder(report: Path) -> None:
    """Say before a long run, not after it, that its report cannot be written.

    Raises:
        Problem: there is no such folder, or nothing may be written there.
    """
    folder = report.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK) or report.is_dir():
        raise Problem(f"the report cannot be written to {report}", "Give --report a file in a folder that is there and is yours.")


def _wait_for_all(view: View) -> None:
    """Wait until every process of ours tells its metrics; a demo with one missing would only end in riddles.

    Raises:
        Problem: one does not come up; with what it said last.
    """
    with progress("waiting for the processes") as tell:
        for process in PROCESSES:
            tell(process)
            if not any(view.answers(process) for _ in glances(PROCESS_SECONDS)):
                said = last_lines(view.instance.logs / f"{process}.log", 3)
                raise Problem(f"{process} does not come up; it said last:\n{said}", f"./agora logs {process}")


def _run(
    view: View, console: Console, headless: bool, seconds: float, speed: float, patients: int, kills: bool
) -> dict[str, Any]:
    # Imported here: these are heavy, and only a demo that runs needs them.
    import psycopg

    from cli import operator
    from cli.demo import people
    from cli.demo.hints import hints, keep, kept_in
    from cli.demo.run import Demo, Options
    from runtime.settings import DatabaseSettings, KafkaSettings
    from sharing.kafka_users import KafkaUsers

    values = view.settings("operator")
    users = KafkaUsers(operator.settings(KafkaSettings, values))
    conninfo = operator.settings(DatabaseSettings, values).conninfo()
    with progress("enrolling") as tell, psycopg.connect(conninfo, autocommit=True) as connection:
        cast = people.enrol(connection, users, people.roles(patients, seed=7), view.instance.credentials, tell)
    demo = Demo(view, cast, Options(seconds, speed, kills))
    keep(demo)
    # Without a person in front of it the output ends in a file or a build's log, where passwords must not be.
    console.print(f"Lines to paste: {kept_in(demo)}" if headless else hints(demo), soft_wrap=True)
    if not seconds:
        console.print("[bold]Ctrl-C[/] stops the devices, counts everything and ends.")
    return asyncio.run(_show(demo, console, headless))


async def _show(demo: Any, console: Console, headless: bool) -> dict[str, Any]:
    from cli.demo import report
    from cli.demo.show import Screen

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, demo.stop)
    with Screen(demo, console, headless) as screen:
        await demo.run(screen.look)
    found = await report.write(demo)
    for check in found["checks"]:
        mark = "[green]holds[/]" if check["passed"] else "[bold red]FAILS[/]"
        console.print(f"{mark}  {check['name']} ({check['detail']})", soft_wrap=True)
    if found["cut_short"]:
        console.print("It was ended before everything planned had happened; only what did happen was checked.")
    sys.stdout.flush()
    return found
