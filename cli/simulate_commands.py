"""``agora simulate``: patients who are not there, on devices that are enrolled."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.demo import DEVICES_FILE
from cli.demo_commands import require_folder
from cli.operator import require_running
from contracts.errors import Misconfigured
from deploy.local.instance import Instance
from simulators.connection import BrokerAddress
from simulators.counts import Counts
from simulators.credentials import read_credentials, read_sequences, sequences_beside, write_sequences
from simulators.device import now
from simulators.fleet import Fleet
from simulators.misbehaviour import Misbehaviour
from simulators.patients import Patient, cast, devices_for
from simulators.replay import choose, load
from simulators.synthetic import make_patients

REPORT_EVERY_SECONDS = 5.0
WAYS = ", ".join(field.name for field in fields(Misbehaviour) if field.name != "seed")

app = typer.Typer(
    no_args_is_help=True,
    help="Play recorded or synthetic patients on enrolled devices.",
    epilog="Example: ./agora simulate replay --patients 5 --speed 60 --misbehave duplicates=0.05 --misbehave garbage=0.01",
)

Patients = Annotated[int, typer.Option(min=1, help="How many patients, at most one for each subject with devices.")]
Speed = Annotated[float, typer.Option(min=0.001, help="Seconds of the patient's time in one second.")]
Seconds = Annotated[float, typer.Option(min=0.0, help="How long; 0 plays until Ctrl-C or the end of the recordings.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same people and the same mishaps.")]
Credentials = Annotated[
    Path | None,
    typer.Option("--credentials", help="JSON list of org, device, model, password, subject; else what ./agora demo enrolled."),
]
Host = Annotated[str, typer.Option(envvar="AGORA_MQTT_HOST", help="Host of the MQTT broker, as its certificate names it.")]
Port = Annotated[int | None, typer.Option(envvar="AGORA_MQTT_PORT", help="Its TLS port; default: this instance's.")]
CaFile = Annotated[
    Path | None, typer.Option(envvar="AGORA_MQTT_CA_FILE", help="Authority of its certificate; default: this instance's.")
]
Misbehave = Annotated[
    list[str] | None, typer.Option("--misbehave", metavar="WAY=NUMBER", help=f"What goes wrong, repeatable. Ways: {WAYS}.")
]
Drain = Annotated[float, typer.Option(min=0.0, help="Longest wait at the end for receipts that are out, seconds.")]
Report = Annotated[Path | None, typer.Option(help="Write all counts as JSON.")]


def register(root: typer.Typer) -> None:
    """Add the commands to ``agora``."""
    root.add_typer(app, name="simulate", rich_help_panel="Develop")


@app.command()
def replay(
    patients: Patients = 10,
    speed: Speed = 60.0,
    seconds: Seconds = 0.0,
    seed: Seed = 0,
    credentials: Credentials = None,
    host: Host = "localhost",
    port: Port = None,
    ca_file: CaFile = None,
    misbehave: Misbehave = None,
    drain: Drain = 15.0,
    report: Report = None,
) -> None:
    """Replay intensive-care patients of the MIMIC-IV demo (ODbL), dirt and all, as if it were now.

    Example: ./agora simulate replay --patients 5 --speed 60 --seconds 120
    """
    play = _Play(host, port, ca_file, credentials, parse_misbehaviour(misbehave or [], seed), drain, report)
    play.run(choose(load(), patients), speed, seconds)


@app.command()
def synthetic(
    patients: Patients = 10,
    speed: Speed = 1.0,
    seconds: Seconds = 0.0,
    seed: Seed = 0,
    credentials: Credentials = None,
    host: Host = "localhost",
    port: Port = None,
    ca_file: CaFile = None,
    misbehave: Misbehave = None,
    drain: Drain = 15.0,
    report: Report = None,
) -> None:
    """Play made-up adults with correlated vitals, circadian rhythm and activity; one in five falls ill.

    Example: ./agora simulate synthetic --patients 50 --seed 7 --speed 10 --misbehave offline=0.01
    """
    play = _Play(host, port, ca_file, credentials, parse_misbehaviour(misbehave or [], seed), drain, report)
    play.run(make_patients(patients, seed), speed, seconds)


@app.command()
def devices(
    kind: Annotated[str, typer.Argument(help="replay or synthetic.")],
    patients: Patients = 10,
    seed: Seed = 0,
) -> None:
    """List the devices to enrol before patients can be played, as JSON.

    Example: ./agora simulate devices replay --patients 2
    """
    people: dict[str, Sequence[Patient]] = {"replay": [], "synthetic": []}
    if kind not in people:
        raise typer.BadParameter("say replay or synthetic")
    people[kind] = choose(load(), patients) if kind == "replay" else make_patients(patients, seed)
    planned = [asdict(device) for patient in people[kind] for device in devices_for(patient)]
    Console().print_json(json.dumps(planned))


def parse_misbehaviour(ways: Sequence[str], seed: int) -> Misbehaviour:
    """Read ``--misbehave``.

    Args:
        ways: each ``way=number``.
        seed: of the mishaps.

    Returns:
        What goes wrong.

    Raises:
        typer.BadParameter: naming what cannot be understood.
    """
    numbers: dict[str, float] = {}
    for way in ways:
        name, _, number = way.partition("=")
        if name not in WAYS.split(", "):
            raise typer.BadParameter(f"'{name}' is no way to misbehave; there are: {WAYS}")
        try:
            numbers[name] = float(number)
        except ValueError as error:
            raise typer.BadParameter(f"'{way}' needs a number, as in {name}=0.05") from error
    try:
        return Misbehaviour(**numbers, seed=seed)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


class _Play:
    """One run of ``agora simulate``."""

    def __init__(
        self,
        host: str,
        port: int | None,
        ca_file: Path | None,
        credentials: Path | None,
        misbehaviour: Misbehaviour,
        drain: float,
        report: Path | None,
    ) -> None:
        instance = Instance.of()
        self._address = BrokerAddress(host, port or instance.ports.mqtt, ca_file or instance.certificates / "ca.pem")
        self._path = credentials or instance.credentials / DEVICES_FILE
        if credentials is None and ca_file is None:
            require_running(instance)
        self._misbehaviour = misbehaviour
        self._drain = drain
        self._report = report
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    def run(self, patients: Sequence[Patient], speed: float, seconds: float) -> None:
        """Play, report, and exit with 1 when a letter stayed without receipt."""
        if self._report is not None:
            require_folder(self._report)
        if not self._path.exists():
            raise Misconfigured(f"no devices in {self._path}: ./agora demo --seconds 20 enrols some, or give --credentials")
        if not self._address.ca_file.exists():
            raise Misconfigured(f"there is no authority {self._address.ca_file}: start the servers, or give --ca-file")
        complete, counts = asyncio.run(self._play(patients, speed, seconds))
        if self._report is not None:
            self._report.write_text(json.dumps(counts.as_dict(), indent=1) + os.linesep)
        self._console.print(_line(counts))
        if not complete:
            self._console.print("[bold red]Some messages have no receipt.[/] Is the bridge running? See: ./agora status")
            raise typer.Exit(1)

    async def _play(self, patients: Sequence[Patient], speed: float, seconds: float) -> tuple[bool, Counts]:
        known = read_credentials(self._path)
        sources = cast(patients, known, now(), speed)
        if not sources:
            raise Misconfigured(f"no device in {self._path} is on loan to a subject and of a model that the simulators play")
        remembered = sequences_beside(self._path)
        fleet = Fleet(
            known, sources, self._address, self._misbehaviour, first_sequences=read_sequences(remembered), remember=False
        )
        await fleet.start()
        try:
            await self._until_over(fleet, seconds)
        finally:
            complete = await fleet.stop(self._drain)
            write_sequences(remembered, fleet.next_sequences())
        return complete, fleet.snapshot()

    async def _until_over(self, fleet: Fleet, seconds: float) -> None:
        """Wait for the time to pass, the sources to end, or Ctrl-C; tell now and then how it goes."""
        stop = asyncio.Event()
        for sign in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(sign, stop.set)
        ended = asyncio.ensure_future(fleet.finished())
        ended.add_done_callback(lambda _: stop.set())
        deadline = time.monotonic() + seconds if seconds else float("inf")
        while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(stop.wait(), min(left, REPORT_EVERY_SECONDS))
            except TimeoutError:
                self._console.print(_line(fleet.snapshot()))
        if ended.done():
            ended.result()
        ended.cancel()


def _line(counts: Counts) -> str:
    wrong = sum(counts.errors.values())
    return (
        f"{counts.made} messages with {counts.values} values · {counts.receipted} receipted · {counts.outstanding} outstanding · "
        f"{counts.resent} sent again · {counts.garbage} garbage · {wrong} errors · {counts.connection_failures} failed connects"
    )
