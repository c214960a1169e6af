"""``cli.md``: every command of ``./agora``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from cli.main import build
from cli.reference.markdown import code, page, table

ABOUT = """
`./agora` makes its environment on the first call and then hands over to these commands; `--help` after any of them says
the same as this page. Exit codes: 0 done, 1 refused or failed, 2 wrong usage or a wrong setting; where a command has
others, it says so.
"""
MARKUP = re.compile(r"\[/?[a-z ]*\]")


def walk(command: Any, words: tuple[str, ...] = ("./agora",)) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give every command that does something, with the words that call it.

    Args:
        command: a click command or group.
        words: that call it.
    """
    children = getattr(command, "commands", None)
    if children is None:
        yield words, command
        return
    for name, child in children.items():
        if not child.hidden:
            yield from walk(child, (*words, name))


def all_commands() -> dict[tuple[str, ...], Any]:
    """Give every command by the words that call it, ``./agora`` first."""
    return dict(walk(typer.main.get_command(build())))


def render() -> str:
    """Write the page."""
    root: Any = typer.main.get_command(build())
    panels: dict[str, list[str]] = {}
    for words, command in walk(root):
        panels.setdefault(_panel(root.commands[words[1]]), []).append(_section(words, command))
    parts = [text for panel, sections in panels.items() for text in (f"## {panel}", *sections)]
    return page("Commands", ABOUT, *parts)


def _panel(top: Any) -> str:
    panel = getattr(top, "rich_help_panel", None)
    return panel if isinstance(panel, str) else "Other commands"


def _section(words: tuple[str, ...], command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    usage = " ".join([*words, *(_usage(one) for one in arguments), *(["[OPTIONS]"] if options else [])])
    rows = [(code(_usage(one)), "", one.help or "") for one in arguments]
    rows += [(code(", ".join((*one.opts, *one.secondary_opts))), _default(one), one.help or "") for one in options]
    parts = [f"### {' '.join(words[1:])}", f"```sh\n{usage}\n```", _help(command.help or "")]
    return "\n\n".join([*parts, table(("Argument or option", "Default", "Meaning"), rows)] if rows else parts)


def _usage(argument: Any) -> str:
    name = (argument.metavar or argument.name).upper().strip("[]")
    shown = f"{name}..." if argument.nargs == -1 else name
    return shown if argument.required else f"[{shown}]"


def _default(option: Any) -> str:
    if option.required:
        return "**must be given**"
    default = getattr(option.default, "value", option.default)
    return "" if default in (None, False, "", (), []) or callable(default) else code(str(default))


def _help(text: str) -> str:
    """Show examples as code, the rest as it stands."""
    before, mark, examples = MARKUP.sub("", text).replace("\b", "").partition("Example")
    lines = examples.partition(":")[2].splitlines()
    shown = "\n".join(line.strip() for line in lines if line.strip())
    return f"{before.strip()}\n\n```sh\n{shown}\n```" if mark and shown else before.strip()
