"""Assembles the ``agora`` command from the rooms' own commands."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from cli.operator import adopt_settings
from contracts.errors import AgoraError, Misconfigured

COMMAND_MODULES = (
    "cli.demo_commands",
    "cli.server_commands",
    "cli.registry_commands",
    "cli.sharing_commands",
    "cli.storage_commands",
    "cli.alert_commands",
    "cli.simulate_commands",
    "cli.stress_commands",
    "cli.test_commands",
    "cli.chaos_commands",
    "cli.bench_commands",
    "cli.docs_commands",
    "cli.processes",
)
"""Each gives ``register(app)``; within a panel of the help in this order."""
PANELS = ("This machine", "Register", "Share", "Look on", "Develop", "Processes")


class _ByPanel(TyperGroup):
    """Lists commands in the order a newcomer needs them; Typer would put groups of commands last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: PANELS.index(self._panel(name)))

    def _panel(self, name: str) -> str:
        return str(getattr(self.commands[name], "rich_help_panel", ""))


def _before(context: typer.Context) -> None:
    """Agora: home medical devices, patients and telemedicine companies on one stream.

    Start with ./agora demo. Not for clinical decisions.
    """
    if "--help" not in sys.argv:
        adopt_settings(context.invoked_subcommand)


def build() -> typer.Typer:
    """Make the command with everything registered."""
    app = typer.Typer(
        name="agora",
        cls=_ByPanel,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    app.callback()(_before)
    for name in COMMAND_MODULES:
        import_module(name).register(app)
    return app


def main() -> None:
    """Run the command; an error of ours is told in words, without a stack trace."""
    try:
        build()(prog_name="./agora")
    except AgoraError as error:
        Console(stderr=True).print(f"[bold red]agora:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, Misconfigured) else 1)


if __name__ == "__main__":
    main()
