"""Assembles the ``agora`` command from the rooms' own commands."""

from __future__ import annotations

import sys
from importlib import import_module

import typer
from rich.console import Console
from rich.markup import escape

from cli.operator import adopt_settings
from contracts.errors import AgoraError, Misconfigured

COMMAND_MODULES = (
    "cli.server_commands",
    "cli.demo_commands",
    "cli.registry_commands",
    "cli.sharing_commands",
    "cli.storage_commands",
    "cli.alert_commands",
    "cli.simulate_commands",
    "cli.processes",
    "cli.test_commands",
    "cli.docs_commands",
)
"""Each gives ``register(app)``. In the order of ``agora --help``."""


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
