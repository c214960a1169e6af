"""What documents say exists: the tests they name, the commands they show, the files they link."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl
from xml.etree import ElementTree as XML

import pytest

from cli.reference.commands import all_commands
from cli.reference.events import by_module
from cli.reference.found import ROOT
from cli.reference.pages import FOLDER, pages
from contracts.errors import Code
from runtime.telemetry import METRICS
from sharing.fhir.search import observation_search

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
WRITTEN = [path for path in PAGES if path not in {FOLDER / name for name in pages()}]
EACH = pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
COMMANDS = all_commands()
DELIVERY = ROOT / "docs" / "delivery.md"
PROOF = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
PROMISE = re.compile(r"^(\d+)\. (.*?)(?=^\d+\. |^\*Not|^##|\Z)", re.DOTALL | re.MULTILINE)
CALL = re.compile(r"\./agora((?: [a-z][a-z-]*)*)((?: --?[a-z][a-z-]*)*)")


@cache
def named_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@EACH
def test_every_test_that_a_page_names_exists(path: Path) -> None:
    for file, name in PROOF.findall(path.read_text()):
        assert (ROOT / file).exists(), file
        assert name in named_in(file), f"{file} has no {name}"


def test_every_promise_is_in_must_or_should_and_has_a_proof() -> None:
    promises = PROMISE.findall(DELIVERY.read_text())
    assert [int(number) for number, _ in promises] == list(range(1, len(promises) + 1))
    for number, words in promises:
        assert re.search(r"\b(MUST|SHOULD)\b", words), number
        assert PROOF.search(words), number


@pytest.mark.parametrize("title", ["Known traps", "Locked doors"])
def test_every_trap_and_every_door_has_a_proof(title: str) -> None:
    section = DELIVERY.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    promised, _, _ = section.partition("\n*Not promised.*")
    _, *bullets = re.split(r"^- ", promised, flags=re.MULTILINE)
    assert bullets
    for words in bullets:
        assert PROOF.search(words), words


@EACH
def test_every_command_that_a_page_shows_exists_with_its_options(path: Path) -> None:
    for found in CALL.finditer(path.read_text()):
        words = ["./agora", *found[1].split()]
        known = [named for named in COMMANDS if list(named) == words[: len(named)]]
        group = any(list(named[: len(words)]) == words for named in COMMANDS)
        assert known or group, found[0]
        for option in found[2].split():
            assert option == "--help" or (known and option in options_of(COMMANDS[known[0]])), found[0]


def options_of(command: object) -> set[str]:
    return {option for one in command.params for option in (*one.opts, *one.secondary_opts)}  # type: ignore[attr-defined]


@EACH
def test_every_search_that_a_page_shows_is_one_that_the_gateway_takes(path: Path) -> None:
    for query in re.findall(r"/fhir/Observation\?([^'\"\s`]+)", path.read_text()):
        assert observation_search(parse_qsl(query, strict_parsing=True), "https://localhost/fhir")


@EACH
def test_every_file_that_a_page_links_exists(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target


def test_every_event_and_metric_that_operators_are_told_of_exists() -> None:
    text = (ROOT / "docs" / "operating.md").read_text()
    events = {event.name for told in by_module().values() for event in told}
    rooms = {name.split(".")[0] for name in events}
    named = {word for word in re.findall(r"`([a-z]+\.[a-z_]+)`", text) if word.split(".")[0] in rooms}
    assert named
    assert named <= events
    assert set(re.findall(r"`(agora_[a-z_]+)`", text)) <= METRICS.keys()


def test_every_code_in_the_device_format_and_the_operators_guide_exists() -> None:
    for page in ("reference/device-format.md", "operating.md"):
        text = (ROOT / "docs" / page).read_text()
        shown = re.findall(r"^- `([a-z-]+)`:|^`([a-z-]+)`: ", text, re.MULTILINE)
        assert {word for pair in shown for word in pair if word} <= {code.value for code in Code}


@EACH
def test_no_page_is_wider_than_a_terminal(path: Path) -> None:
    for line in path.read_text().splitlines():
        assert len(line) <= 150 or line.lstrip().startswith(("|", "-", "`", "[", "!")) or "](" in line, line


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/pictures/*.svg")), ids=lambda path: path.name)
def test_every_picture_says_in_words_what_it_shows_and_has_its_own_background(path: Path) -> None:
    tree = XML.parse(path).getroot()  # noqa: S314 - our own picture
    name = "{http://www.w3.org/2000/svg}"
    assert tree.get("aria-label")
    assert tree.findtext(f"{name}title")
    background = tree.find(f"{name}rect")
    assert background is not None
    assert background.get("width") == tree.get("width")
