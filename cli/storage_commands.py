"""``agora ledger``, ``agora quarantine …`` and ``agora tail``."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer
from psycopg import AsyncConnection
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.terminal import plain
from contracts.errors import EXPLANATIONS, Code
from runtime.settings import DatabaseSettings, KafkaSettings, load
from storage import ledger, ledger_report, quarantine, replay, watch
from storage.database import connect, translated
from storage.quarantine import LONG_AGO, Quarantined, Selection

T = TypeVar("T")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
MOST = 1_000_000

console = Console(highlight=False, soft_wrap=True)
app = typer.Typer(
    no_args_is_help=True,
    help="Messages that could not be handled: what, why, and how to send them through again.",
    epilog="Example: ./agora quarantine list --code clock",
)


def since_time(text: str) -> datetime:
    """Read a point in the past.

    Args:
        text: a span back from now, as ``90s``, ``30m``, ``2h``, ``7d``; or a time in ISO 8601, UTC where no zone is given.

    Returns:
        The time, in UTC.

    Raises:
        typer.BadParameter: when it is neither.
    """
    if span := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return datetime.now(UTC) - timedelta(**{UNITS[span[2]]: int(span[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is neither a span like 2h or 7d nor a time like 2026-11-22T10:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


Device = Annotated[str, typer.Option(metavar="ORG/DEVICE", help="Only this device.")]
Since = Annotated[datetime, typer.Option(parser=since_time, metavar="WHEN", help="From then on: 2h, 7d, or a time.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
OfCode = Annotated[str, typer.Option(help=f"Only this reason, one of: {', '.join(Code)}.")]


def register(root: typer.Typer) -> None:
    """Add the commands to ``agora``."""
    root.command("ledger", rich_help_panel="Look on")(show_ledger)
    root.add_typer(app, name="quarantine", rich_help_panel="Look on")
    root.command("tail", rich_help_panel="Look on")(tail)


def show_ledger(
    device: Device = "",
    since: Since = "24h",  # type: ignore[assignment]  # Typer parses the default, too
    as_json: AsJson = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for what is on its way.")] = 0.0,
) -> None:
    """Account for every message: received, stored, duplicate, quarantined, in flight. Exit 1 when one is missing.

    Examples:
      ./agora ledger
      ./agora ledger --device riverside-clinic/watch-1 --since 2h
      ./agora ledger --wait 30 --json
    """
    database, kafka = load(DatabaseSettings), load(KafkaSettings)

    async def read(connection: AsyncConnection) -> tuple[ledger.Closing, list[Any], list[Any]]:
        balance = await (ledger.settle(database, kafka, wait) if wait else ledger.closing(database, kafka))
        with translated():
            rows = await ledger_report.device_hours(connection, since, device)
            return balance, rows, await ledger_report.gaps(connection, since, device)

    balance, rows, gaps = _ask(read)
    if as_json:
        total = asdict(balance) | {"difference": balance.difference, "closed": balance.closed}
        _print_json({"total": total, "devices": [asdict(row) for row in rows], "gaps": [asdict(gap) for gap in gaps]})
    else:
        _show_balance(balance)
        _show_devices(rows)
        for gap in gaps[:20]:
            numbers = str(gap.first) if gap.missing == 1 else f"{gap.first} to {gap.last}"
            console.print(f"[yellow]never seen:[/] {gap.org}/{gap.device} counted {numbers} ({gap.missing})")
    if balance.holes or (balance.settled and balance.difference):
        raise typer.Exit(1)


def _show_balance(balance: ledger.Closing) -> None:
    table = Table(title="Ledger, in messages", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    parts = ("received", "replayed", "stored", "duplicate", "quarantined", "in_flight", "difference")
    for part in parts:
        table.add_column(part.replace("_", " "), justify="right")
    table.add_row(*(f"{getattr(balance, part):,}" for part in parts))
    console.print(table)
    if balance.closed:
        console.print("[green]Closed:[/] every message is accounted for.")
    elif balance.holes:
        passed = sum(hole.last - hole.first + 1 for hole in balance.holes)
        shown = ", ".join(f"{hole.partition}/{hole.first}" for hole in balance.holes[:10])
        console.print(f"[red]Passed over:[/] {passed:,} raw records (from {shown}). The keeper sends them again: ./agora status")
    elif balance.settled:
        console.print("[red]Open:[/] messages are missing. See ./agora logs streams and ./agora logs store")
    else:
        waiting = ", ".join(f"{topic} {lag:,}" for topic, lag in balance.lag.items() if lag)
        console.print(
            f"[yellow]On its way:[/] records not in the database yet: {waiting}. Wait for them: ./agora ledger --wait 30"
        )


def _show_devices(rows: list[ledger_report.DeviceHour]) -> None:
    if not rows:
        console.print("No device has sent in this time. `./agora device add` prints a line that does; ./agora demo plays many.")
        return
    table = Table(title="By hour of arrival (UTC) and device", box=SIMPLE_HEAD)
    table.add_column("hour", no_wrap=True)
    table.add_column("device", overflow="fold")
    for heading in ("received", "stored", "dupl.", "quar.", "readings"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        counts = row.received + row.replayed, row.stored, row.duplicate, row.quarantined, row.readings_stored
        name = f"{row.org}/{row.device}".strip("/") or "unknown"
        table.add_row(f"{row.hour.astimezone(UTC):%m-%d %Hh}", name, *(f"{count:,}" for count in counts))
    console.print(table)


@app.command("list")
def list_quarantine(
    code: OfCode = "",
    device: Device = "",
    since: Since = LONG_AGO.isoformat(),  # type: ignore[assignment]
    replayed: Annotated[bool, typer.Option("--replayed", help="Also what was sent through again.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what is in quarantine, newest first.

    Examples:
      ./agora quarantine list
      ./agora quarantine list --code unit-unknown --since 2h
      ./agora quarantine list --device riverside-clinic/watch-1 --json
    """
    selection = Selection(_known(code), device, since, replayed)

    async def read(connection: AsyncConnection) -> tuple[list[Quarantined], dict[str, int]]:
        with translated():
            return await quarantine.find(connection, selection, limit), await quarantine.count_by_code(connection, selection)

    rows, counts = _ask(read)
    if as_json:
        _print_json({"counts": counts, "rows": [asdict(row) for row in rows]})
        return
    if not rows:
        console.print("Nothing is in quarantine that fits. What was sent through again shows with --replayed.")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in ("number", "code", "device", "when (UTC)", "words"):
        table.add_column(heading, justify="right" if heading == "number" else "left", no_wrap=heading in ("code", "when (UTC)"))
    for row in rows:
        name = f"{row.org}/{row.device}".strip("/") or "unknown"
        when = f"{row.quarantined_at.astimezone(UTC):%m-%d %H:%M:%S}"
        words = escape(plain(row.words) + (f" ({plain(row.field)})" if row.field else "")) + (
            " [dim]replayed[/]" if row.replayed_at else ""
        )
        table.add_row(str(row.quarantine_id), row.code, escape(name), when, words)
    console.print(table)
    console.print(" · ".join(f"{code} {number:,}" for code, number in counts.items()))
    console.print("Look at one: ./agora quarantine show NUMBER · after the remedy: ./agora quarantine replay --code CODE")


@app.command("show")
def show_quarantine(
    number: Annotated[int, typer.Argument(help="As in the list.")],
    payload: Annotated[bool, typer.Option("--payload", help="Also the message itself: a patient's data.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one message in quarantine and what to do about it.

    Example: ./agora quarantine show 17 --payload
    """

    async def read(connection: AsyncConnection) -> tuple[Quarantined | None, bytes]:
        with translated():
            row = await quarantine.get(connection, number)
            return row, await quarantine.payload(connection, number) if row is not None and payload else b""

    row, content = _ask(read)
    if row is None:
        console.print(f"There is no number {number} in quarantine. See ./agora quarantine list")
        raise typer.Exit(1)
    shown = _shown(content)
    if as_json:
        _print_json(asdict(row) | ({"payload": shown} if payload else {}))
        return
    table = Table(show_header=False)
    for name, value in asdict(row).items():
        if value not in (None, ""):
            table.add_row(name.replace("_", " "), escape(plain(str(value))))
    if row.code in tuple(Code):
        table.add_row("remedy", escape(EXPLANATIONS[Code(row.code)][1]))
    console.print(table)
    if payload:
        console.print(shown, markup=False)


@app.command("replay")
def replay_quarantine(
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers as in the list.")] = None,
    code: OfCode = "",
    device: Device = "",
    since: Since = LONG_AGO.isoformat(),  # type: ignore[assignment]
) -> None:
    """Send messages through again, after what stopped them was put right. Twice is harmless.

    Examples:
      ./agora quarantine replay 17 18
      ./agora quarantine replay --code unassigned
      ./agora quarantine replay --device riverside-clinic/watch-1 --since 2h
    """
    if not (numbers or code or device):
        raise typer.BadParameter("say which: numbers, --code or --device")
    if numbers and (code or device):
        raise typer.BadParameter("say either numbers, or --code and --device")

    async def send(connection: AsyncConnection) -> replay.Replayed:
        chosen = numbers or await replay.select(connection, Selection(_known(code), device, since))
        return await replay.replay(connection, load(KafkaSettings), chosen)

    done = _ask(send)
    console.print(
        f"Sent {done.messages:,} messages of {done.rows:,} rows through again. See what became of them: ./agora ledger --wait 10"
    )
    for number, reason in list(done.left.items())[:20]:
        console.print(f"[yellow]left:[/] {number}: {reason}")
    if done.left:
        raise typer.Exit(1)


def tail(
    device: Device = "",
    subject: Annotated[str, typer.Option(help="Only this subject.")] = "",
    count: Annotated[int, typer.Option("--count", "-n", min=0, help="Stop after so many; 0 goes on until Ctrl-C.")] = 0,
    seconds: Annotated[float, typer.Option(min=0, help="Stop after so long; 0 goes on until Ctrl-C.")] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Show readings as they come, straight from Kafka.

    Examples:
      ./agora tail
      ./agora tail --subject patient-3 -n 20
      ./agora tail --device riverside-clinic/watch-1 --json
    """

    def show(reading: watch.Reading) -> None:
        print(json.dumps(asdict(reading)) if as_json else watch.line(reading), flush=True)  # noqa: T201

    def quiet() -> None:
        console.print("[dim]No reading yet. Does a device send? `./agora device add` prints a line that does.[/]")

    if not as_json:
        print(watch.HEADING, flush=True)  # noqa: T201
    try:
        asyncio.run(
            watch.watch(load(KafkaSettings), watch.Filter(device, subject), show, None if as_json else quiet, count, seconds)
        )
    except KeyboardInterrupt:
        sys.exit(0)


def _ask(question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    async def run() -> T:
        connection = await connect(load(DatabaseSettings), options="-c timezone=UTC")
        try:
            return await question(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


def _known(code: str) -> str:
    if code and code not in tuple(Code):
        raise typer.BadParameter(f"'{code}' is no reason; there are: {', '.join(Code)}", param_hint="--code")
    return code


def _shown(content: bytes) -> str:
    """Write a payload as text where it is text, else in hex."""
    try:
        return plain(content.decode(), keep="\n\t")
    except UnicodeDecodeError:
        return content.hex(" ")


def _print_json(value: object) -> None:
    print(json.dumps(value, default=str, indent=1))  # noqa: T201
