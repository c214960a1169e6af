"""``agora alerts``: see alerts, and take one in hand."""

from __future__ import annotations

import sys
from getpass import getuser
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console

from catalogue.registry import BY_CODE
from runtime.settings import load
from sharing.gateway.models import Alert
from sharing.gateway.operator_client import OperatorClient
from sharing.gateway.settings import OperatorClientSettings

PANEL = "Look on"
_out = Console(highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Alerts: list them, take one in hand.")
    group.command("list")(alert_list)
    group.command("ack")(alert_acknowledge)
    app.add_typer(group, name="alerts", rich_help_panel=PANEL)


def alert_list(
    subject: Annotated[str | None, typer.Option("--subject", help="Only this subject's.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="For machines: one alert a line.")] = False,
) -> None:
    """List alerts, the newest first.

    Example:
      ./agora alerts list --subject p-7
    """
    with OperatorClient(load(OperatorClientSettings)) as client:
        alerts = client.alerts(subject, not everything, limit)
    if as_json:
        for alert in alerts:
            sys.stdout.write(alert.model_dump_json() + "\n")
        return
    if not alerts:
        _out.print("No alerts." if everything else "No open alerts; resolved ones: --all. Set limits: ./agora rule set --help")
    for alert in alerts:
        _show(alert)


def alert_acknowledge(
    alert: Annotated[UUID, typer.Argument(help="Its id, as `./agora alerts list` shows it.")],
    by: Annotated[str, typer.Option(help="Who takes it in hand.")] = "",
    note: Annotated[str, typer.Option(help="What you want to say about it, at most 500 characters.")] = "",
) -> None:
    """Take an alert in hand; its state follows within a moment.

    Example:
      ./agora alerts ack 0192f0aa-0000-8000-8000-000000000001 --note "called the patient"
    """
    with OperatorClient(load(OperatorClientSettings)) as client:
        taken = client.acknowledge(str(alert), by or getuser(), note)
    _out.print(f"{taken.alert} of {taken.subject} is acknowledged.")


def _show(alert: Alert) -> None:
    """Print one alert, and below it the line that takes it in hand, which no narrow terminal may cut."""
    vital = BY_CODE[alert.vital].short if alert.vital in BY_CODE else alert.vital
    past = ", about the past" if alert.about_past else ""
    times = f"since {alert.onset:%Y-%m-%d %H:%M:%S}Z"
    if alert.changed_at != alert.onset:
        times += f", {alert.state} {alert.changed_at:%Y-%m-%d %H:%M:%S}Z"
    _out.print(f"{alert.state:<12} {alert.severity}{past}: {vital} of {alert.subject}, rule {alert.rule}, {times}", markup=False)
    if alert.acknowledged_by:
        _out.print(f"  {alert.acknowledged_by}{': ' if alert.note else ''}{alert.note}", markup=False)
    _out.print(f"  ./agora alerts ack {alert.alert}" if alert.state == "raised" else f"  {alert.alert}", style="dim")
