"""What an operator's command knows: the settings that ``agora up`` wrote for this instance."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TypeVar

from pydantic_settings import BaseSettings

from deploy.local.instance import Instance
from deploy.local.view import View

S = TypeVar("S", bound=BaseSettings)
OPERATORS_COMMANDS = frozenset(
    {"org", "subject", "device", "rule", "app", "consent", "access", "quarantine", "ledger", "tail", "alerts"}
)


def adopt_settings(command: str | None) -> None:
    """Let an operator's command find its settings in the environment; what stands there already wins.

    Args:
        command: which was called; processes and the commands that start servers read nothing of it.
    """
    if command not in OPERATORS_COMMANDS:
        return
    instance = Instance.of()
    if (instance.environments / "operator.env").exists():
        for name, value in View(instance).settings("operator").items():
            os.environ.setdefault(name, value)


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
