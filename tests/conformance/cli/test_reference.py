"""The generated reference says what the code says, and published schemas stay compatible."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema_rs import meta, validator_for

from cli.reference import pages, schemas
from cli.reference.commands import all_commands
from cli.reference.compatibility import Direction, problems
from cli.reference.found import ROOMS, ROOT
from cli.reference.schemas import SCHEMAS, Published
from cli.reference.settings import MACHINE, classes, variable

MADE = pages.pages()


@pytest.mark.parametrize("name", sorted(MADE))
def test_the_generated_file_says_what_the_code_says(name: str) -> None:
    path = pages.FOLDER / name
    assert path.exists(), "run ./agora docs"
    assert path.read_text() == MADE[name], "run ./agora docs"


def test_no_schema_is_left_of_something_that_is_gone() -> None:
    assert pages.differing() == []


def test_published_schemas_are_compatible_with_the_models() -> None:
    assert pages.published(), "run ./agora docs --publish"
    assert schemas.breaking(pages.published()) == {}


@pytest.mark.parametrize("one", SCHEMAS, ids=lambda one: one.file)
def test_every_schema_is_a_valid_one_with_words_for_its_object(one: Published) -> None:
    made = one.schema()
    meta.validate(made)
    assert made["$id"].startswith("urn:agora:schema:")
    objects = [part for part in (made, *made.get("$defs", {}).values()) if "properties" in part]
    assert all(part.get("description") for part in objects)


@pytest.mark.parametrize("one", SCHEMAS, ids=lambda one: one.file)
def test_losing_any_field_of_any_schema_is_refused(one: Published) -> None:
    made = one.schema()
    for name, holder in _objects(made):
        for field in holder["properties"]:
            changed = json.loads(json.dumps(made))
            target = changed if name is None else changed["$defs"][name]
            del target["properties"][field]
            target["required"] = [kept for kept in target.get("required", []) if kept != field]
            assert problems(made, changed, one.direction), f"{name or one.name}.{field}"


@pytest.mark.parametrize("one", [one for one in SCHEMAS if one.direction is not Direction.GIVEN], ids=lambda one: one.file)
def test_demanding_a_field_that_was_optional_is_refused(one: Published) -> None:
    made = one.schema()
    for name, holder in _objects(made):
        for field in holder["properties"].keys() - set(holder.get("required", [])):
            changed = json.loads(json.dumps(made))
            (changed if name is None else changed["$defs"][name]).setdefault("required", []).append(field)
            assert problems(made, changed, one.direction), f"{name or one.name}.{field}"


def _objects(schema: dict[str, Any]) -> list[tuple[str | None, dict[str, Any]]]:
    parts = [(None, schema), *schema.get("$defs", {}).items()]
    return [(name, part) for name, part in parts if "properties" in part]


def test_the_schema_of_the_device_message_takes_what_the_decoder_takes() -> None:
    taken = validator_for(schemas.SCHEMAS[0].schema())
    good = {"time": "2026-11-22T10:00:00Z", "code": "8867-4", "value": 72, "unit": "/min", "site": "left-arm"}
    assert taken.is_valid(good)
    assert not taken.is_valid(good | {"site": "left arm"})
    assert not taken.is_valid(good | {"value": "72"})


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__name__)
def test_every_setting_has_words_and_a_name_of_its_own(kind: Any) -> None:
    assert kind.model_config.get("frozen")
    assert all(info.description for info in kind.model_fields.values())
    assert all(variable(kind, name).startswith("AGORA_") for name in kind.model_fields)


def test_every_variable_that_the_code_names_is_in_the_reference() -> None:
    known = {variable(kind, name) for kind in classes() for name in kind.model_fields} | {name for name, _, _ in MACHINE}
    named = re.compile(r'"(AGORA_[A-Z_]+[A-Z])"')
    for room in (*ROOMS, "cli", "deploy", "simulators"):
        for path in (ROOT / room).rglob("*.py"):
            assert set(named.findall(path.read_text())) <= known, path


def test_every_command_says_what_it_does_and_every_option_what_it_means() -> None:
    commands = all_commands()
    assert ("./agora", "docs") in commands
    for words, command in commands.items():
        assert command.help, " ".join(words)
        nameless = [one.name for one in command.params if not getattr(one, "help", None)]
        assert nameless == [], " ".join(words)


def test_no_option_has_words_in_brackets_which_the_terminal_takes_for_colours_and_leaves_out() -> None:
    for words, command in all_commands().items():
        assert [one.name for one in command.params if "[" in (one.help or "")] == [], " ".join(words)
