"""The slow way through Agora's JSON format: finds repeated keys, keeps unknown fields aside, and says exactly what is wrong.

No word of it ever holds a value of the payload; names of fields are shown, since without them nobody finds the fault.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, NoReturn, TypeVar

import msgspec

from catalogue.formats.agora_json import Component, Message, ReadingForm, gather, path_of
from catalogue.formats.decoded import Decoded, Warned
from contracts.errors import Code, Rejected

T = TypeVar("T")
MAX_WARNINGS = 8
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}\Z")
_PROBLEM = re.compile(r"(?P<words>.*?)(?: - at `(?P<path>.*)`)?\Z", re.DOTALL)
_FIELD = re.compile(r"Object (?P<what>contains unknown|missing required) field `(?P<name>.*)`\Z", re.DOTALL)
_TYPE = re.compile(r"`([a-z]+)`")
_PLAIN = {
    "datetime": "an RFC 3339 time",
    "float": "a number",
    "int": "a whole number",
    "str": "a text",
    "bool": "a truth value",
    "array": "a list",
    "object": "a JSON object",
}
_FIELDS = frozenset(Message.__struct_fields__)


class _Object(dict[str, Any]):
    """A JSON object that remembers the first key it was given twice."""

    repeated: str | None = None


def decode_carefully(payload: bytes) -> Decoded:
    """Read a message that the hot path would not take.

    Args:
        payload: as the device sent it.

    Returns:
        Its readings, when all that was wrong are unknown fields at the top, or nothing was.

    Raises:
        Rejected: with code, words and path of the first fault.
    """
    tree = _parse(payload)
    if not isinstance(tree, _Object):
        raise Rejected(Code.PAYLOAD_INVALID, f"expected a JSON object, got {_kind(tree)}", "$")
    if tree.repeated is not None:
        _refuse_repeated(tree.repeated, "$")
    unknown = [name for name in tree if name not in _FIELDS]
    warnings = tuple(
        Warned(Code.FIELD_UNKNOWN, f"field '{_shown(name)}' is not part of the format; it was left aside", f"$.{_shown(name)}")
        for name in unknown[:MAX_WARNINGS]
    )
    fields: dict[str, Any] = {name: value for name, value in tree.items() if name in _FIELDS}
    if "readings" in fields:
        fields["readings"] = _readings(fields["readings"])
    if "components" in fields:
        fields["components"] = _components(fields["components"], "$", None)
    message = _convert(fields, Message, "$")
    _refuse_infinite(message.value, "$")
    return gather(message, warnings)[0]


def _parse(payload: bytes) -> Any:
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected(Code.PAYLOAD_UNDECODABLE, f"byte {error.start} is not UTF-8", "$") from None
    try:
        tree = json.loads(text, object_pairs_hook=_object)
        # A lone surrogate passes Python's parser and would fail wherever the text is written again.
        json.dumps(tree, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise Rejected(Code.PAYLOAD_UNDECODABLE, "the JSON is nested too deeply", "$") from None
    except UnicodeEncodeError:
        raise Rejected(Code.PAYLOAD_UNDECODABLE, "a text holds half of a surrogate pair", "$") from None
    except json.JSONDecodeError as error:
        raise Rejected(Code.PAYLOAD_UNDECODABLE, f"not JSON: {error.msg}, at character {error.pos}", "$") from None
    except ValueError:  # Python refuses integers of more than 4,300 digits
        raise Rejected(Code.VALUE_NOT_FINITE, "a number has too many digits", "$") from None
    return tree


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object()
    for name, value in pairs:
        if name in made and made.repeated is None:
            made.repeated = name
        made[name] = value
    return made


def _readings(found: Any) -> list[ReadingForm]:
    if not isinstance(found, list):
        raise Rejected(Code.PAYLOAD_INVALID, f"expected a list of readings, got {_kind(found)}", "$.readings")
    made = []
    for position, one in enumerate(found):
        path = path_of(position)
        fields = _fields(one, path)
        if "components" in fields:
            fields["components"] = _components(fields["components"], path, position)
        form = _convert(fields, ReadingForm, path)
        _refuse_infinite(form.value, path)
        made.append(form)
    return made


def _components(found: Any, path: str, position: int | None) -> list[Component]:
    if not isinstance(found, list):
        raise Rejected(Code.PAYLOAD_INVALID, f"expected a list of components, got {_kind(found)}", f"{path}.components")
    made = []
    for index, one in enumerate(found):
        where = f"$.components[{index}]" if position is None else path_of(position, index)
        part = _convert(_fields(one, where), Component, where)
        _refuse_infinite(part.value, where)
        made.append(part)
    return made


def _fields(found: Any, path: str) -> dict[str, Any]:
    if not isinstance(found, _Object):
        raise Rejected(Code.PAYLOAD_INVALID, f"expected a JSON object, got {_kind(found)}", path)
    if found.repeated is not None:
        _refuse_repeated(found.repeated, path)
    return dict(found)


def _convert(fields: Mapping[str, Any], kind: type[T], path: str) -> T:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        _refuse(str(error), path)
    except OverflowError:
        raise Rejected(Code.VALUE_NOT_FINITE, "a number is too large", path) from None


def _refuse(problem: str, path: str) -> NoReturn:
    """Translate msgspec's words, which name types and fields but no values."""
    match = _PROBLEM.match(problem)
    words = match["words"] if match else problem
    where = path + (match["path"] or "$")[1:] if match else path
    field = _FIELD.match(words)
    if field is not None:
        name = _shown(field["name"])
        if field["what"] == "contains unknown":
            raise Rejected(Code.FIELD_UNKNOWN, f"field '{name}' is not part of the format", f"{where}.{name}")
        raise Rejected(Code.PAYLOAD_INVALID, f"'{name}' is missing", f"{where}.{name}")
    if "timezone" in words:
        raise Rejected(Code.TIME_WITHOUT_ZONE, field=where)
    if words.startswith("Number out of range"):
        raise Rejected(Code.VALUE_NOT_FINITE, field=where)
    plain = _TYPE.sub(lambda found: _PLAIN.get(found[1], found[1]), words).replace("Expected", "expected", 1)
    raise Rejected(Code.PAYLOAD_INVALID, plain, where)


def _refuse_repeated(name: str, path: str) -> NoReturn:
    raise Rejected(Code.PAYLOAD_INVALID, f"field '{_shown(name)}' stands there twice", f"{path}.{_shown(name)}")


def _refuse_infinite(value: float | msgspec.UnsetType, path: str) -> None:
    if value is not msgspec.UNSET and not isfinite(value):
        raise Rejected(Code.VALUE_NOT_FINITE, field=f"{path}.value")


def _shown(name: str) -> str:
    """Give a field's name when it looks like one; a device that writes data into names must not see it spread."""
    return name if _NAME.match(name) else "?"


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}
    return next((words for kind, words in names.items() if isinstance(value, kind)), "null")
