"""Whether a JSON Schema may replace a published one of the same version. Pure.

The question is always the same: is there something that one side may write and the other side does not take? What others send us
(``TAKEN``) is written after the old schema and read after the new one, what we send (``GIVEN``) the other way round; between our
own processes (``BETWEEN``), which are upgraded one after the other, both must hold. It is taken for granted that nobody writes a
field that the schema does not name.

It understands what our schemas use. A change of a keyword that it does not understand is refused too, since it cannot be judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

Schema = Mapping[str, Any]
ALL_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
WORDS = frozenset({"$schema", "$id", "$defs", "$comment", "title", "description", "examples", "readOnly", "writeOnly"})
"""Keywords that allow and forbid nothing."""
LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
EQUAL = ("pattern", "format", "uniqueItems", "contentEncoding", "multipleOf")
"""Rules that either stand there or not: dropping one allows more, any other change cannot be judged."""
JUDGED = frozenset(
    {*LEAST, *MOST, *EQUAL, "$ref", "anyOf", "type", "enum", "const", "default", "properties", "required", "additionalProperties",
     "items", "prefixItems"}
)  # fmt: skip


class Direction(Enum):
    """Who writes what the schema describes, and who reads it."""

    TAKEN = "others write, Agora reads"
    GIVEN = "Agora writes, others read and must tolerate fields they do not know"
    BETWEEN = "Agora's own processes write and read"


def problems(old: Schema, new: Schema, direction: Direction) -> list[str]:
    """Find what makes a schema incompatible with the published one.

    Args:
        old: published.
        new: to replace it.
        direction: who writes and who reads.

    Returns:
        Each problem with its place, in words; empty when the new schema may replace the old one.
    """
    found = list(_lost(_Place("$", old, old), _Place("$", new, new)))
    if direction is not Direction.GIVEN:
        found += _refused(_Place("$", old, old), _Place("$", new, new))
    if direction is not Direction.TAKEN:
        found += _refused(_Place("$", new, new), _Place("$", old, old), tolerant=True)
    return list(dict.fromkeys(found))


class _Place:
    """A part of a schema, references followed, with the path of what it describes."""

    def __init__(self, path: str, schema: Schema, root: Schema) -> None:
        self.path = path
        self.root = root
        while "$ref" in schema:
            schema = {**root["$defs"][schema["$ref"].rsplit("/", 1)[-1]], **{k: v for k, v in schema.items() if k != "$ref"}}
        self.schema = schema

    def at(self, step: str, schema: Schema) -> _Place:
        return _Place(self.path + step, schema, self.root)

    def kinds(self) -> dict[str, _Place]:
        """Split into one place per JSON type that is allowed."""
        if "anyOf" in self.schema:
            found: dict[str, _Place] = {}
            for one in self.schema["anyOf"]:
                for kind, place in self.at("", one).kinds().items():
                    found[kind] = self.at("", {"alternatives": self.schema["anyOf"]}) if kind in found else place
            return found
        given = self.schema.get("type")
        kinds = _types_of(self.schema) if given is None else {given} if isinstance(given, str) else set(given)
        return dict.fromkeys(kinds, self)

    def properties(self) -> dict[str, _Place]:
        return {name: self.at(f".{name}", one) for name, one in self.schema.get("properties", {}).items()}

    def parts(self) -> Iterator[tuple[str, _Place]]:
        """Give what lies inside but is no property: items, and values under names that are not fixed."""
        for key, step in (("items", "[*]"), ("additionalProperties", ".*")):
            if isinstance(self.schema.get(key), Mapping):
                yield key, self.at(step, self.schema[key])
        for position, one in enumerate(self.schema.get("prefixItems", ())):
            yield f"prefixItems {position}", self.at(f"[{position}]", one)


def _types_of(schema: Schema) -> set[str]:
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if values is None:
        return set(ALL_TYPES)
    names = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    return {names[type(value)] for value in values}


def _lost(old: _Place, new: _Place) -> Iterator[str]:
    """Find properties that are no more, and defaults that mean something else."""
    if "default" in old.schema and old.schema["default"] != new.schema.get("default"):
        yield f"{old.path}: the default changed"
    theirs = new.kinds()
    for kind, before in old.kinds().items():
        if kind not in theirs or kind not in ("array", "object"):
            continue
        after = theirs[kind]
        ours = after.properties()
        for name, place in before.properties().items():
            if name in ours:
                yield from _lost(place, ours[name])
            else:
                yield f"{place.path}: the property was removed"
        inner = dict(after.parts())
        for key, place in before.parts():
            if key in inner:
                yield from _lost(place, inner[key])


def _refused(written: _Place, read: _Place, *, tolerant: bool = False) -> Iterator[str]:
    """Find what may be written and is not taken by the reader; a tolerant one leaves unknown properties aside."""
    readers = read.kinds()
    for kind, place in written.kinds().items():
        reader = readers.get(kind) or (readers.get("number") if kind == "integer" else None)
        if reader is None:
            yield f"{written.path}: {kind} is written but not taken"
        elif "alternatives" in place.schema or "alternatives" in reader.schema:
            if place.schema != reader.schema:
                yield f"{written.path}: several forms of {kind}, which cannot be judged"
        else:
            yield from _rules(place, reader)
            if kind == "object":
                yield from _object(place, reader, tolerant=tolerant)
            inner = dict(place.parts())
            for key, part in reader.parts():
                if key in inner:
                    yield from _refused(inner[key], part, tolerant=tolerant)
                elif not (tolerant and key == "additionalProperties"):
                    yield f"{written.path}: '{key}' is not limited where it is written, but where it is read"


def _rules(written: _Place, read: _Place) -> Iterator[str]:
    """Compare the rules for a single value."""
    ours, theirs = written.schema, read.schema
    allowed = _values(theirs)
    if allowed is not None:
        values = _values(ours)
        extra = None if values is None else [value for value in values if value not in allowed]
        if extra is None or extra:
            yield f"{written.path}: values beyond {sorted(map(str, allowed))} are written"
    for sign, keys in ((1, LEAST), (-1, MOST)):
        for key in keys:
            if key in theirs and (key not in ours or sign * ours[key] < sign * theirs[key]):
                yield f"{written.path}: {key} is {ours.get(key, 'not set')} where it is written, {theirs[key]} where it is read"
    for key in EQUAL:
        if key in theirs and theirs[key] != ours.get(key):
            yield f"{written.path}: {key} differs"
    for key in sorted((ours.keys() | theirs.keys()) - WORDS - JUDGED):
        if ours.get(key) != theirs.get(key):
            yield f"{written.path}: '{key}' changed, which cannot be judged"


def _values(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _object(written: _Place, read: _Place, *, tolerant: bool) -> Iterator[str]:
    """Compare which properties an object must and may have."""
    for name in read.schema.get("required", ()):
        if name not in written.schema.get("required", ()):
            yield f"{written.path}.{name}: required where it is read, but need not be written"
    theirs = read.properties()
    closed = read.schema.get("additionalProperties") is False
    if closed and not tolerant and written.schema.get("additionalProperties") is not False:
        yield f"{written.path}: unknown properties may be written but are not taken"
    for name, place in written.properties().items():
        if name in theirs:
            yield from _refused(place, theirs[name], tolerant=tolerant)
        elif closed and not tolerant:
            yield f"{place.path}: written but not taken"
