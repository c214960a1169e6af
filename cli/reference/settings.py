"""``settings.md``: every variable that a process reads."""

from __future__ import annotations

from enum import Enum
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from cli.reference.found import modules
from cli.reference.markdown import code, page, table

ABOUT = """
Each process reads its settings once, from its environment, and stops at once where one is missing or wrong, naming it
and never its value. `./agora up` writes them for you, one file per process with no more secrets than that process
needs, in `.agora/<instance>/env/`. Secrets are marked; they are never logged.
"""
MACHINE: tuple[tuple[str, str, str], ...] = (
    ("AGORA_INSTANCE", "main", "name of the installation that `./agora` works on; several can stand side by side"),
    ("AGORA_PORT_BASE", "21000", "where its ports begin (the tests' own instance: 22000)"),
    ("AGORA_PROFILE", "demo", "sizes of the servers' memory (`deploy/local/profiles.py`)"),
    (
        "AGORA_BROKER_DENIALS_LOGGED",
        "1, with the profile `bench` 0",
        "whether the broker's log names each publish that its access list forbids; it then takes half as many messages a second",
    ),
    (
        "AGORA_KAFKA_FLUSHES",
        "1, with the profile `bench` 0",
        "whether Kafka writes to its disk what it confirms, so that a receipt outlives a power cut (ADR 16)",
    ),
)
"""Read by ``deploy/local`` and not by a settings class: they say where an instance is before it has settings."""
TYPES = {SecretStr: "text", str: "text", int: "whole number", float: "number", bool: "true or false"}
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def classes() -> list[type[BaseSettings]]:
    """Give every settings class of every room, once."""
    found: list[type[BaseSettings]] = []
    for module in modules("settings"):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, BaseSettings) and value.__module__ == module.__name__:
                found.append(value)
    return found


def variable(kind: type[BaseSettings], field: str) -> str:
    """Name the environment variable of a field."""
    return f"{kind.model_config.get('env_prefix', '')}{field}".upper()


def render() -> str:
    """Write the page."""
    parts = []
    for kind in classes():
        rows = ((code(variable(kind, name)), *_row(info)) for name, info in kind.model_fields.items())
        words = (kind.__doc__ or "").split(" (``")[0].strip().rstrip(".")
        parts += [f"## {words}", f"`{kind.__module__}.{kind.__name__}`", table(HEADINGS, rows)]
    machine = ((code(name), code(default), words) for name, default, words in MACHINE)
    return page("Settings", ABOUT, *parts, "## Where an instance is", table(("Variable", "Default", "Meaning"), machine))


HEADINGS = ("Variable", "Type", "Default", "Meaning", "Secret")


def _row(info: FieldInfo) -> tuple[str, str, str, str]:
    kinds = [kind for kind in get_args(info.annotation) or (info.annotation,) if kind is not type(None)]
    secret = "yes" if SecretStr in kinds else ""
    return _type(info), _default(info, bool(secret)), info.description or "", secret


def _type(info: FieldInfo) -> str:
    annotation: Any = info.annotation
    if get_origin(annotation) is Literal:
        return " or ".join(code(str(value)) for value in get_args(annotation))
    kind = next(kind for kind in get_args(annotation) or (annotation,) if kind is not type(None))
    words = "path" if issubclass(kind, PurePath) else TYPES[kind]
    bounds = [f"{sign} {getattr(rule, name):,}" for rule in info.metadata for name, sign in SIGNS.items() if hasattr(rule, name)]
    return f"{words} {', '.join(bounds)}".strip()


def _default(info: FieldInfo, secret: bool) -> str:
    default: Any = info.default
    if default is PydanticUndefined:
        return "**must be given**"
    if default is None or default == "" or secret:
        return "none"
    return code(str(default.value if isinstance(default, Enum) else default))
