"""The long-running processes as commands: ``agora bridge``, ``streams``, ``store``, ``router``, ``gateway``, ``keeper``."""

from __future__ import annotations

from importlib import import_module

import typer

PROCESSES: dict[str, tuple[str, str]] = {
    "bridge": ("ingest.bridge", "Moves MQTT messages into Kafka and answers devices with receipts and errors."),
    "streams": ("streams.worker", "Normalises messages to observations and flags what is dangerous or implausible (Faust)."),
    "store": ("storage.store", "Writes observations, ledger, quarantine and alerts into TimescaleDB, exactly once."),
    "router": ("sharing.router", "Releases to each app exactly what patients consented to."),
    "gateway": ("sharing.gateway", "Answers apps by FHIR R4 over HTTPS."),
    "keeper": ("registry.keeper", "Publishes the registry, keeps broker credentials, watches the ledger."),
}
"""From process to the module whose ``run() -> int`` it is, and what it does. Imported only when run: each has heavy libraries."""


def register(app: typer.Typer) -> None:
    """Add a command for each process."""
    for name, (module, words) in PROCESSES.items():
        _register(app, name, module, words)


def _register(app: typer.Typer, name: str, module: str, words: str) -> None:
    words = f"{words} Settings come from the environment; `agora up` starts it for you."

    @app.command(name, help=words, rich_help_panel="Processes")
    def run() -> None:
        raise typer.Exit(import_module(module).run())
