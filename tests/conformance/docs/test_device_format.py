"""The examples of the device format do what the page says, in the platform's own decoder and normaliser."""

from __future__ import annotations

import json
import re

import pytest
from jsonschema_rs import validator_for

from cli.reference.pages import FOLDER
from cli.reference.schemas import SCHEMAS
from contracts.frames import Coordinates, RawMessage
from contracts.instants import MINUTE
from contracts.registry import DeviceRecord, Loan
from streams.directory import Directory
from streams.memory import Recent, Warnings
from streams.normalise import Result, normalise

NOW = 1_795_341_600_000_000 + MINUTE
"""A minute after the examples' time."""
SCHEMA = validator_for(SCHEMAS[0].schema())
DEVICE = DeviceRecord(org="org", device="any", model="agora-generic", loans=(Loan(start=0, subject="anna"),))
EXAMPLES = re.findall(
    r"^```json ?([^\n]*)\n(.*?)^```$", (FOLDER / "reference/device-format.md").read_text(), re.DOTALL | re.MULTILINE
)
ACCEPTED = [body for words, body in EXAMPLES if not words]
OTHERS = [(words.split(), body) for words, body in EXAMPLES if words]


def result(body: str) -> Result:
    message = RawMessage("agora/v1/org/any/up/vitals", body.encode(), NOW)
    return normalise(
        [message], Coordinates("agora.raw.v1", 0, 0), Directory({"org/any": DEVICE}.get), Recent(0), Warnings(), NOW, "test"
    )


def test_the_page_has_examples_of_every_kind() -> None:
    assert len(ACCEPTED) >= 3
    assert {words[0] for words, _ in OTHERS} == {"refused", "warned"}


@pytest.mark.parametrize("body", ACCEPTED)
def test_what_the_page_shows_as_good_is_accepted_without_a_word(body: str) -> None:
    found = result(body)
    assert found.quarantined == []
    assert found.down == []
    assert sum(row.readings for row in found.outcome.devices) >= 1
    assert all(one.quality & 1 == 0 for frame in found.vitals.values() for one in frame)
    assert SCHEMA.is_valid(json.loads(body))


@pytest.mark.parametrize(("words", "body"), OTHERS, ids=lambda value: value[1] if isinstance(value, list) else "")
def test_what_the_page_shows_as_bad_is_told_with_the_code_and_place_it_names(words: list[str], body: str) -> None:
    kind, code, field = words
    found = result(body)
    assert len(found.quarantined) == (kind == "refused")
    [told] = found.down
    assert (told.payload.code, told.payload.field) == (code, field)
    assert told.payload.severity == {"refused": "error", "warned": "warning"}[kind]
