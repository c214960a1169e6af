"""Every event and metric of every room: names, words, labels, and that what is declared is told somewhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.processes import PROCESSES
from cli.reference.events import LABELS, by_module
from cli.reference.found import ROOMS, ROOT
from runtime.telemetry import METRICS, Event

DECLARED = [(module, event) for module, events in by_module().items() for event in events]
EACH = pytest.mark.parametrize(("module", "event"), DECLARED, ids=lambda value: getattr(value, "name", ""))
ROOM_OF_PROCESS = {process: module.split(".")[0] for process, (module, _) in PROCESSES.items()}
OF_PEOPLE_OR_SECRETS = {"subject", "patient", "value", "payload", "password", "secret", "token", "credential"}


def rooms_named(name: str) -> str:
    """Give the room of a name that begins with a room or with a process of it."""
    return ROOM_OF_PROCESS.get(name, name)


@EACH
def test_an_event_is_named_after_its_room_and_what_happened(module: object, event: Event) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z]+(_[a-z]+)+", event.name)
    assert rooms_named(event.name.split(".")[0]) == module.__name__.split(".")[0]  # type: ignore[attr-defined]


@EACH
def test_an_event_tells_an_operator_what_it_means(module: object, event: Event) -> None:
    assert event.help.endswith((".", "?"))
    assert event.help[0].isupper() or event.help.startswith("agora.")
    assert len(event.help) > 10


@EACH
def test_a_counter_is_named_after_its_room(module: object, event: Event) -> None:
    if event.counter:
        found = re.fullmatch(r"agora_([a-z]+)_[a-z_]+_total", event.counter)
        assert found
        assert rooms_named(found[1]) == module.__name__.split(".")[0]  # type: ignore[attr-defined]
    assert event.counter or not event.quiet, "neither logged nor counted"


def test_no_two_events_share_a_counter() -> None:
    counters = [event.counter for _, event in DECLARED if event.counter]
    assert len(counters) == len(set(counters))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_metric_has_words_a_good_name_and_labels_from_closed_sets(name: str) -> None:
    kind, words, labels = METRICS[name]
    assert re.fullmatch(r"agora_[a-z]+_[a-z_]+", name)
    assert name.endswith("_total") == (kind == "counter")
    assert name.endswith("_seconds") or kind != "histogram"
    assert words.endswith((".", "?"))
    assert set(labels) <= LABELS.keys()


def test_no_label_ever_names_a_device_or_a_person() -> None:
    assert LABELS.keys().isdisjoint({"device", "subject", "patient", "org", "consent", "user", *OF_PEOPLE_OR_SECRETS})


def calls() -> Iterator[tuple[Path, str, set[str]]]:
    """Give every place that emits an event: file, constant, names of the fields."""
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "emit":
                    target = node.func.value
                    name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
                    yield path, name, {word.arg for word in node.keywords if word.arg}


CALLS = list(calls())


def test_every_place_that_tells_an_event_gives_its_labels() -> None:
    for path, constant, fields in CALLS:
        room = path.relative_to(ROOT).parts[0]
        events = [
            getattr(module, constant)
            for module, _ in DECLARED
            if hasattr(module, constant) and module.__name__.split(".")[0] in (room, "runtime")
        ]
        if events:
            assert any(set(event.labels) <= fields for event in events), f"{path}: {constant} needs {events[0].labels}"


def test_no_event_carries_a_patients_value_or_a_secret() -> None:
    told = {f"{path}: {constant}": fields & OF_PEOPLE_OR_SECRETS for path, constant, fields in CALLS}
    assert {place: fields for place, fields in told.items() if fields} == {}


def test_every_event_that_is_declared_is_told_somewhere() -> None:
    named = {name for room in ROOMS for path in (ROOT / room).rglob("*.py") for name in words_of(path)}
    silent = [
        event.name
        for module, event in DECLARED
        if next(name for name, value in vars(module).items() if value is event) not in named
    ]
    assert silent == []


def words_of(path: Path) -> set[str]:
    """Give the names that a file uses but does not assign."""
    return {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
    }


OPERATING = (ROOT / "docs/operating.md").read_text()


@pytest.mark.parametrize("event", [event for _, event in DECLARED if event.level == "error"], ids=lambda event: event.name)
def test_an_error_has_a_row_that_says_what_to_do(event: Event) -> None:
    assert f"`{event.name}`" in OPERATING
