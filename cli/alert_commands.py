"""``agora alerts``: see alerts, and take one in hand."""

from __future__ import annotations

import sys
from getpass import getuser
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from catalogue.registry import BY_CODE
from runtime.settings import load
from sharing.gateway.models import Alert
from sharing.gateway.operator_client import OperatorClient
from sharing.gateway.settings import OperatorClientSettings

PANEL = "Share"
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
      agora alerts list --subject p-7
    """
    with OperatorClient(load(OperatorClientSettings)) as client:
        alerts = client.alerts(subject, not everything, limit)
    if as_json:
        for alert in alerts:
            sys.stdout.write(alert.model_dump_json() + "\n")
        return
    _out.print(_table(alerts) if alerts else "No alerts.")


def alert_acknowledge(
    alert: Annotated[UUID, typer.Argument(help="Its id, as `agora alerts list` shows it.")],
    by: Annotated[str, typer.Option(help="Who takes it in hand.")] = "",
    note: Annotated[str, typer.Option(help="What you want to say about it, at most 500 characters.")] = "",
) -> None:
    """Take an alert in hand; its state follows within a moment.

    Example:
      agora alerts ack 0192f0aa-0000-8000-8000-000000000001 --note "called the patient"
    """
    with OperatorClient(load(OperatorClientSettings)) as client:
        taken = client.acknowledge(str(alert), by or getuser(), note)
    _out.print(f"{taken.alert} of {taken.subject} is acknowledged.")


def _table(alerts: tuple[Alert, ...]) -> Table:
    table = Table()
    for heading in ("alert", "subject", "vital", "rule", "state", "severity", "onset", "changed"):
        table.add_column(heading, no_wrap=heading == "alert")
    for alert in alerts:
        vital = BY_CODE[alert.vital].short if alert.vital in BY_CODE else alert.vital
        about = f"{alert.severity}, about the past" if alert.about_past else alert.severity
        times = [f"{moment:%Y-%m-%d %H:%M:%S}Z" for moment in (alert.onset, alert.changed_at)]
        table.add_row(str(alert.alert), alert.subject, vital, alert.rule, alert.state, about, *times)
    return table
