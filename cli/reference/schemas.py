"""The published JSON Schemas: what devices, apps and integrators send and get."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import BaseModel

from catalogue.formats import agora_json
from cli.reference.compatibility import Direction, problems
from cli.reference.markdown import page, table
from contracts import alerts, down, registry
from sharing.gateway import models

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ATTRIBUTE = re.compile(r"^    (?:    )?(\w+): (.+)$")


@dataclass(frozen=True)
class Published:
    """A schema that others rely on.

    Attributes:
        name: in kebab-case; with the version it names the file.
        direction: who writes and who reads.
        where: where one meets it.
        make: gives the schema as the models have it.
        kind: class the schema is of, whose words describe the fields.
        version: raised by a change that the published one does not allow.
    """

    name: str
    direction: Direction
    where: str
    make: Callable[[], dict[str, Any]]
    kind: type
    version: int = 1

    @property
    def file(self) -> str:
        """Name of the file."""
        return f"{self.name}.v{self.version}.json"

    def schema(self) -> dict[str, Any]:
        """Give the schema, with its name and the words of the docstrings."""
        made = self.make()
        _describe(made, self.kind)
        _mend_patterns(made)
        return {"$schema": DIALECT, "$id": f"urn:agora:schema:{self.name}:{self.version}", **made}


def _struct(name: str, direction: Direction, where: str, kind: type[msgspec.Struct]) -> Published:
    return Published(name, direction, where, lambda: msgspec.json.schema(kind), kind)


def _model(name: str, direction: Direction, where: str, kind: type[BaseModel]) -> Published:
    mode = "validation" if direction is Direction.TAKEN else "serialization"
    return Published(name, direction, where, lambda: kind.model_json_schema(mode=mode), kind)  # type: ignore[arg-type]


_TAKEN, _GIVEN, _BETWEEN = Direction.TAKEN, Direction.GIVEN, Direction.BETWEEN
SCHEMAS: tuple[Published, ...] = (
    Published("device-message", _TAKEN, "MQTT `…/up/vitals`, format `agora-json`", agora_json.schema, agora_json.Message),
    _struct("receipts", _GIVEN, "MQTT `…/down/receipts`", down.Receipts),
    _struct("device-error", _GIVEN, "MQTT `…/down/errors`", down.DeviceError),
    _struct("alert-transition", _GIVEN, "`agora.alerts.v1` and the alert webhook", alerts.AlertTransition),
    _struct("alert-command", _BETWEEN, "`agora.alert-commands.v1`", alerts.AlertCommand),
    _struct("down-record", _BETWEEN, "`agora.down.v1`", down.DownRecord),
    _model("device-record", _BETWEEN, "`agora.registry.devices.v1`", registry.DeviceRecord),
    _model("consent-record", _BETWEEN, "`agora.registry.consents.v1`", registry.ConsentRecord),
    _model("app-record", _BETWEEN, "`agora.registry.apps.v1`", registry.AppRecord),
    _model("rule-record", _BETWEEN, "`agora.registry.rules.v1`", registry.RuleRecord),
    _model("heartbeat", _BETWEEN, "all registry topics, key `_heartbeat`", registry.Heartbeat),
    _model("api-consent-grant", _TAKEN, "operator's API, request", models.ConsentGrant),
    _model("api-acknowledgement", _TAKEN, "operator's API, request", models.Acknowledgement),
    _model("api-consents", _GIVEN, "operator's API, answer", models.Consents),
    _model("api-alerts", _GIVEN, "operator's API, answer", models.Alerts),
    _model("api-acknowledgement-taken", _GIVEN, "operator's API, answer", models.AcknowledgementTaken),
    _model("api-access-log", _GIVEN, "operator's API, answer", models.AccessLog),
)
ABOUT = """
JSON Schemas (2020-12) made from the models that the processes use themselves. A version that is published stays
compatible: `./agora docs` refuses to write a schema that would break whoever relies on the published one, and the tests
compare both. `published.json` holds what was published; `./agora docs --publish` adds to it after a compatible change.
A change that breaks is a new version beside the old one.

What counts as breaking depends on who writes. *Others write*: a property removed, a new required one, a narrower type,
range or list of words. *Agora writes*: a property removed or no longer certain, a wider type or list of words; new
properties may come at any time, so readers must leave aside what they do not know. *Between Agora's own processes*:
both, since they are upgraded one by one.

The frames on `agora.raw.v1`, `agora.vitals.v1`, `agora.quarantine.v1` and `agora.ledger.v1` are msgpack arrays for the
platform's own processes and have no JSON Schema; `contracts/` defines them. Readings go to apps as FHIR R4
Observations, which HL7's profiles describe.
"""


def render() -> str:
    """Write the list of schemas."""
    rows = ((f"[{one.name}]({one.file})", str(one.version), one.where, one.direction.value) for one in SCHEMAS)
    return page("JSON Schemas", ABOUT, table(("Schema", "Version", "Where", "Who writes and reads"), rows))


def text(schema: object) -> str:
    """Write a schema as it stands in its file."""
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def breaking(published: Mapping[str, Any]) -> dict[str, list[str]]:
    """Compare the models with what was published.

    Args:
        published: schemas by file name.

    Returns:
        Problems by file name; a schema that is published and gone is one.
    """
    found = {
        one.file: list_of
        for one in SCHEMAS
        if one.file in published and (list_of := problems(published[one.file], one.schema(), one.direction))
    }
    known = {one.file for one in SCHEMAS}
    return found | {file: ["it was published and is gone"] for file in published if file not in known}


def _describe(schema: dict[str, Any], kind: type) -> None:
    """Take the words for objects and fields from the docstrings of the classes that define them."""
    words = {one.__name__: one.__doc__ or "" for one in (kind, *_neighbours(kind))}
    for name, part in {kind.__name__: schema, **schema.get("$defs", {})}.items():
        if "properties" not in part:
            continue
        doc = words.get(name, "")
        if doc:
            part["description"] = _plain(doc.split("\n\n")[0])
        for line in doc.splitlines():
            found = ATTRIBUTE.match(line)
            if found and found[1] in part["properties"]:
                part["properties"][found[1]].setdefault("description", _plain(found[2]))


def _mend_patterns(part: Any) -> None:
    """Write the end of a text as JSON Schema's regular expressions (ECMA 262) do; to them Python's own sign is a letter."""
    if isinstance(part, dict):
        if isinstance(part.get("pattern"), str):
            part["pattern"] = part["pattern"].replace("\\Z", "$")
        for inner in part.values():
            _mend_patterns(inner)
    elif isinstance(part, list):
        for inner in part:
            _mend_patterns(inner)


def _neighbours(kind: type) -> list[type]:
    return [
        one for one in vars(sys.modules[kind.__module__]).values() if isinstance(one, type) and one.__module__ == kind.__module__
    ]


def _plain(words: str) -> str:
    return " ".join(words.replace("``", "`").split())
