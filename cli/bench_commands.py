"""``agora bench``: how fast it is, what it costs, and whether anything is lost on the way."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.demo_commands import require_folder
from cli.ending import terminate_as_interrupt
from cli.server_commands import progress
from deploy.local.instance import Instance
from deploy.local.problems import Problem

STAGES = ("chain", "bridge", "streams", "store", "router")
PEERS = ("telegraf",)
INSTANCE, PORT_BASE = "bench", 25000
BESIDE = 800
"""Where ``AGORA_PORT_BASE`` is set, ports begin so far behind it."""
PROFILE = "bench"
SEARCHES = 5.0
MOST_AT_ONCE = 1_000_000
"""What is published before it is taken waits in the broker, whose queue for one client is bounded."""
MOST_ROWS = 1_000_000_000
"""Rows stored before have sequences below those of a run."""
TELL_SECONDS = 2.0


def register(app: typer.Typer) -> None:
    """Add ``agora bench``."""
    app.command("bench", rich_help_panel="Develop")(bench)


def bench(
    messages: Annotated[int, typer.Option(min=1_000, help="Messages of each run, three readings each.")] = 200_000,
    devices: Annotated[int, typer.Option(min=1, max=50_000, help="Devices that publish in turn.")] = 1_000,
    rate: Annotated[float, typer.Option(min=0.0, help="Messages a second of the run for latency; 0 leaves it out.")] = 5_000.0,
    stages: Annotated[str, typer.Option(help=f"What to measure: all, or some of {', '.join(STAGES)}, by commas.")] = "chain",
    receipts: Annotated[bool, typer.Option("--receipts/--no-receipts", help="Each message asks for its receipt.")] = False,
    sharing: Annotated[bool, typer.Option("--sharing/--no-sharing", help="An app reads a third of all readings.")] = False,
    searches: Annotated[
        float | None,
        typer.Option(min=0.0, max=500.0, help="FHIR searches a second of that app, in a second run of each; 5 unless told."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=2, help="Workers of streams and of store, each.")] = 1,
    rows: Annotated[int, typer.Option(min=0, max=MOST_ROWS, help="Rows up to now that are stored before.")] = 0,
    rows_per_day: Annotated[
        int, typer.Option(min=1, help="Of these, those of each day; today's lie in the chunk that is written into.")
    ] = 10_000_000,
    against: Annotated[str, typer.Option(help="Run telegraf in turn, with the same messages on the same servers.")] = "",
    rounds: Annotated[int, typer.Option(min=1, max=20, help="How often each run is repeated.")] = 3,
    loaded: Annotated[bool, typer.Option("--loaded", help="Latency at half and at 80 % of the sustained rate, too.")] = False,
    steady: Annotated[
        float, typer.Option(min=0.0, help="Seconds that a run at a fixed rate lasts, with memory by the minute; 0: 20 at most.")
    ] = 0.0,
    report: Annotated[Path | None, typer.Option(help="Write every run and the machine's facts as JSON.")] = None,
) -> None:
    """Measure the real chain: from a device's publish to the committed row, over TLS.

    Every check is on but two: the messages come over 50 connections, each of which the broker lets publish for many devices, and
    no device's quota is ever reached.

    It runs on servers of its own, with empty data, in the instance `bench` (ports from 25000), sized by the profile `bench`. A
    run that lost or doubled a reading, or whose ledger does not close, ends it with exit code 1. Nothing else should run then.

    With `--sharing` an app reads its topic meanwhile: it must get just what consents allow. Then everything is measured once more
    while this app searches by FHIR (`--searches 0` leaves that out): an error, or a reading without consent, ends it, too.

    The report is written after each run; one that is cut short tells how many rounds are complete.

    Examples:
      ./agora bench
      ./agora bench --stages all --receipts --sharing
      ./agora bench --sharing --searches 10 --report bench-sharing.json
      ./agora bench --against telegraf --rounds 3 --report bench.json
      ./agora bench --devices 10000 --rows 100000000 --rows-per-day 10000000 --workers 2
      ./agora bench --messages 5000000 --rate 0 --rounds 1
      ./agora bench --rate 1000 --steady 3600 --rounds 1 --report hour.json
    """
    wanted = _stages(stages)
    _require_possible(wanted, messages, against, searches, sharing)
    if report is not None:
        require_folder(report)
    os.environ.setdefault("AGORA_PROFILE", PROFILE)
    # Imported here: these are heavy, and only a benchmark that runs needs them.
    from bench.chain import machine, run
    from bench.chain import report as reports
    from bench.chain.report_file import ReportFile

    asked = (SEARCHES if searches is None else searches) if sharing else 0.0
    options = run.Options(
        messages, devices, rate, wanted, receipts, sharing, workers, rows, against, rounds, loaded, asked, steady, rows_per_day
    )
    file = ReportFile(report, asdict(options), machine.facts()) if report else None
    terminate_as_interrupt()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new Kafka knows of no group for a moment: no news here
    with progress("measuring") as tell:
        instance = Instance.beside(INSTANCE, PORT_BASE, BESIDE)
        found = run.run(instance, options, _seldom(tell), file.write if file else run.forget)
    if file:
        file.write(found, rounds, is_finished=True)
    console = Console(highlight=False)
    console.print(*reports.tables(found))
    for what, ratio in reports.ratio(found).items():
        console.print(f"against {against}: {what} × {ratio:.2f}")
    for what, ratios in reports.searching(found).items():
        told = ", ".join(f"{name.replace('_', ' ')} × {ratio:.2f}" for name, ratio in ratios.items())
        console.print(f"{what}, with searches against without: {told}")
    for line in (*reports.circumstances(found), *reports.growth(found)):
        console.print(line, soft_wrap=True)
    console.print("Every message was stored once, and the ledger closed after each run.")
    if sharing:
        console.print("The app got what consents allow, each record of it and nothing else.")
    if report is not None:
        console.print(f"report: {report}", soft_wrap=True)


def _require_possible(wanted: tuple[str, ...], messages: int, against: str, searches: float | None, sharing: bool) -> None:
    if against and against not in PEERS:
        raise Problem(f"there is nothing called {against!r} to run in turn", f"--against takes {', '.join(PEERS)}.")
    if searches and not (sharing and "chain" in wanted):
        raise Problem("there is no app that could search", "Add --sharing and the stage chain, or leave --searches out.")
    if messages > MOST_AT_ONCE and (against or wanted != ("chain",)):
        raise Problem(
            f"the broker does not hold {messages:,} messages",
            f"--messages takes {MOST_AT_ONCE:,} at most with --stages or --against.",
        )


def _stages(given: str) -> tuple[str, ...]:
    named = STAGES if given == "all" else tuple(dict.fromkeys(part.strip() for part in given.split(",")))
    unknown = [name for name in named if name not in STAGES]
    if unknown:
        raise Problem(f"there is no stage {unknown[0]!r}", f"--stages takes all, or some of {', '.join(STAGES)}.")
    return named


def _seldom(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Leave out what follows too soon on what was told last and differs from it by a number only."""
    last, at = "", 0.0

    def told(step: str) -> None:
        nonlocal last, at
        words = "".join(letter for letter in step if not letter.isdigit() and letter != ",")
        now = time.monotonic()
        if words != last or now - at >= TELL_SECONDS:
            last, at = words, now
            tell(step)

    return told
