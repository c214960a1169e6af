"""What an operator's command knows: the settings that ``agora up`` wrote for this instance."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TypeVar

from pydantic_settings import BaseSettings

from contracts.errors import Misconfigured
from deploy.local.instance import Instance
from deploy.local.view import View

S = TypeVar("S", bound=BaseSettings)
OPERATORS_COMMANDS = frozenset(
    {"org", "subject", "device", "rule", "app", "consent", "access", "quarantine", "ledger", "tail", "alerts"}
)

ELSEWHERE = {"AGORA_DATABASE_HOST", "AGORA_KAFKA_BOOTSTRAP", "AGORA_GATEWAY_PUBLIC_URL"}
"""Set by hand, any of these names a platform that may run on another machine."""


def adopt_settings(command: str | None) -> None:
    """Let an operator's command find its settings in the environment; what stands there already wins.

    Args:
        command: which was called; processes and the commands that start servers read nothing of it.

    Raises:
        Misconfigured: the platform does not run here, and no other was named.
    """
    if command not in OPERATORS_COMMANDS:
        return
    instance = Instance.of()
    if not ELSEWHERE & os.environ.keys():
        require_running(instance)
    if (instance.environments / "operator.env").exists():
        for name, value in View(instance).settings("operator").items():
            os.environ.setdefault(name, value)


def require_running(instance: Instance) -> None:
    """Say in one line what to do where the platform does not run.

    Args:
        instance: which should.

    Raises:
        Misconfigured: none of its processes runs.
    """
    if not any(running.alive for running in View(instance).state().processes.values()):
        raise Misconfigured(f"Agora does not run here (instance {instance.name!r}). Start it: ./agora up")


def settings(kind: type[S], values: Mapping[str, str]) -> S:
    """Make a settings class from an instance's file instead of this process's environment.

    Args:
        kind: the class.
        values: by name of the environment variable.

    Returns:
        The settings.
    """
    prefix = str(kind.model_config.get("env_prefix", ""))
    found = {field: values[name] for field in kind.model_fields if (name := (prefix + field).upper()) in values}
    return kind.model_validate(found)
