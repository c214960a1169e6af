from __future__ import annotations

from typing import Any

import pytest

from cli.reference.compatibility import Direction, problems

TAKEN, GIVEN, BETWEEN = Direction.TAKEN, Direction.GIVEN, Direction.BETWEEN
TEXT = {"type": "string"}
OLD = {"type": "object", "properties": {"code": TEXT, "note": TEXT}, "required": ["code"], "additionalProperties": False}


def changed(**properties: Any) -> dict[str, Any]:
    return OLD | {"properties": OLD["properties"] | properties}  # type: ignore[operator]


def compatible(old: dict[str, Any], new: dict[str, Any]) -> set[Direction]:
    return {direction for direction in Direction if not problems(old, new, direction)}


def test_a_schema_may_replace_itself_in_every_direction() -> None:
    assert compatible(OLD, OLD) == set(Direction)


def test_a_new_optional_field_may_come_where_readers_leave_it_aside() -> None:
    assert compatible(OLD, changed(more=TEXT)) == {TAKEN, GIVEN, BETWEEN}


def test_a_new_required_field_is_refused_of_those_who_do_not_send_it_yet() -> None:
    assert compatible(OLD, changed(more=TEXT) | {"required": ["code", "more"]}) == {GIVEN}


def test_a_field_that_is_no_longer_certain_is_refused_to_those_who_count_on_it() -> None:
    assert compatible(OLD, OLD | {"required": []}) == {TAKEN}


def test_removing_a_field_is_refused_in_every_direction() -> None:
    assert compatible(OLD, OLD | {"properties": {"code": TEXT}}) == set()


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({"type": ["string", "null"]}, {"type": "string"}),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, {"type": "number"}),
        ({"type": "number"}, {"type": "integer"}),
        ({"type": "string"}, {"type": "string", "enum": ["a"]}),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}),
        ({"enum": ["a", "b"]}, {"const": "a"}),
        ({"type": "string"}, {"type": "string", "maxLength": 3}),
        ({"type": "string", "maxLength": 4}, {"type": "string", "maxLength": 3}),
        ({"type": "number", "minimum": 0}, {"type": "number", "minimum": 1}),
        ({"type": "string"}, {"type": "string", "pattern": "^a$"}),
        ({"type": "string"}, {"type": "string", "format": "date-time"}),
        ({"type": "array"}, {"type": "array", "items": TEXT}),
        ({"type": "array", "items": {"type": ["string", "null"]}}, {"type": "array", "items": TEXT}),
        ({"type": "object"}, {"type": "object", "additionalProperties": {"type": "string"}}),
    ],
    ids=str,
)
def test_narrower_is_refused_of_senders_and_wider_is_refused_to_readers(wide: dict[str, Any], narrow: dict[str, Any]) -> None:
    assert TAKEN not in compatible(changed(note=wide), changed(note=narrow))
    assert TAKEN in compatible(changed(note=narrow), changed(note=wide))
    assert BETWEEN not in compatible(changed(note=wide), changed(note=narrow))
    assert GIVEN in compatible(changed(note=wide), changed(note=narrow))


def test_a_closed_object_may_be_opened_but_an_open_one_not_closed_for_senders() -> None:
    opened = {name: rule for name, rule in OLD.items() if name != "additionalProperties"}
    assert TAKEN in compatible(OLD, opened)
    assert TAKEN not in compatible(opened, OLD)


def test_another_default_is_refused_since_absence_then_means_something_else() -> None:
    assert compatible(changed(note=TEXT | {"default": "a"}), changed(note=TEXT | {"default": "b"})) == set()


def test_references_are_followed_and_words_may_change() -> None:
    referred = {"$ref": "#/$defs/Thing", "$defs": {"Thing": OLD | {"title": "Thing", "description": "Anything."}}}
    assert compatible(OLD, referred) == set(Direction)


def test_what_cannot_be_judged_is_refused() -> None:
    assert compatible(changed(note=TEXT), changed(note=TEXT | {"not": {"const": "a"}})) == set()
    several = {"anyOf": [{"type": "object", "required": ["a"]}, {"type": "object", "required": ["b"]}]}
    assert compatible(changed(note=several), changed(note=several)) == set(Direction)
    assert compatible(changed(note=several), changed(note={"type": "object"})) == set()


def test_a_problem_names_its_place() -> None:
    new = {"type": "object", "properties": {"list": {"type": "array", "items": {"type": "object", "properties": {}}}}}
    old = {"type": "object", "properties": {"list": {"type": "array", "items": {"type": "object", "properties": {"x": TEXT}}}}}
    assert problems(old, new, TAKEN)[0].startswith("$.list[*].x: ")
