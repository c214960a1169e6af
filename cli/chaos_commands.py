"""``agora chaos``: kills, freezes, cuts or feeds garbage to a platform of its own, and counts what became of every message."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cli.demo_commands import require_folder
from cli.ending import terminate_as_interrupt
from cli.stress_commands import run_garbage, stress
from deploy.local.instance import Instance

if TYPE_CHECKING:
    from bench.chaos.options import Options

NAME, PORT_BASE = "chaos", 23000
BESIDE = 700
"""Where ``AGORA_PORT_BASE`` is set, ports begin so far behind it."""


def register(app: typer.Typer) -> None:
    """Add ``agora chaos``."""
    app.command("chaos", rich_help_panel="Develop")(chaos)


def chaos(
    kills: Annotated[int, typer.Option(min=0, max=2000, help="How many faults.")] = 20,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long devices publish; 0 for as long as the faults need.")] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Same seed, same faults and values; without it a new one.")] = None,
    only: Annotated[str, typer.Option(help="Parts to disturb, with commas; all by default. `links` are the connections.")] = "",
    rate: Annotated[
        float, typer.Option(min=1.0, max=5000.0, help="Messages a second, on the average of busy and quiet phases.")
    ] = 200.0,
    report: Annotated[Path | None, typer.Option(help="Write plan, recovery times, checks and counts as JSON.")] = None,
    plant: Annotated[
        str,
        typer.Option(
            help="Do wrong on purpose: skipped-frame, doubled-row, quarantined-message, unconsented-record; it must be found."
        ),
    ] = "",
    garbage: Annotated[int, typer.Option("--garbage", min=0, help="Instead of faults: publish so many messages of garbage.")] = 0,
) -> None:
    """Kill, freeze, restart and cut parts of a platform under load, then compare every message with what became of it.

    Starts an instance of its own and removes it afterwards; a running platform is never touched. Exit code 1 where anything was
    lost, stored twice, changed, released without consent, overtaken, or did not go on.

    With --garbage nothing is killed: mutated messages go in, between them valid ones that tell whether anything stalls, and each
    has to end in quarantine with a reason that fits, or be refused by the broker.

    Parts: bridge, streams, store, router, gateway, keeper, mosquitto, kafka, postgres, links.

    Examples:
      ./agora chaos
      ./agora chaos --kills 200 --seed 7 --report chaos.json
      ./agora chaos --kills 10 --only store,postgres
      ./agora chaos --kills 0 --plant skipped-frame
      ./agora chaos --garbage 1000000 --seed 7 --report garbage.json
    """
    if report is not None:
        require_folder(report)
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    if garbage:
        raise typer.Exit(0 if stress(partial(run_garbage, messages=garbage, seed=seed), report) else 1)
    from bench.chaos.options import Options
    from bench.chaos.plan import least_seconds
    from bench.chaos.plants import Plant
    from contracts.errors import Misconfigured

    planted = _parts(plant)
    if unknown := set(planted) - set(Plant):
        raise Misconfigured(f"--plant knows no {', '.join(sorted(unknown))}: it takes {', '.join(Plant)}, joined by commas")
    options = Options(
        kills=kills,
        seconds=seconds or least_seconds(kills),
        seed=seed,
        only=_parts(only),
        rate=rate,
        plants=tuple(Plant(one) for one in planted),
    )
    raise typer.Exit(0 if _run(Instance.beside(NAME, PORT_BASE, BESIDE), options, report) else 1)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _run(instance: Instance, options: Options, path: Path | None) -> bool:
    from bench.chaos import report, show
    from bench.chaos.run import Run

    terminate_as_interrupt()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that Kafka is away now and then is no news here
    console = Console(highlight=False)
    again = report.command(options)
    console.print(f"seed {options.seed}; the same again: {again}", soft_wrap=True)
    with show.Screen(console) as screen:
        run = Run(instance, options, screen.look)
        for fault in run.plan:
            console.print(f"{fault.at:7.1f} s  {fault}", soft_wrap=True)
        checks = asyncio.run(run.run())
    found = report.report(run, checks)
    show.verdict(console, found)
    if path is not None:
        path.write_text(json.dumps(found, indent=1, default=str) + "\n", encoding="utf-8")
        console.print(f"report: {path}", soft_wrap=True)
    if found["passed"]:
        shutil.rmtree(instance.folder)
        return True
    console.print(f"[bold red]It does not hold.[/] The same again: {again}\nLogs: {instance.logs}", soft_wrap=True)
    return False
