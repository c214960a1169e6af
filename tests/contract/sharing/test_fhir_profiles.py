"""HL7's rules for what we send, judged by HAPI's validator: R4 and its vital-signs profiles, with UCUM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from catalogue.registry import PANELS, VITALS
from catalogue.vital import Panel, Vital
from contracts.observation import Quality
from sharing.fhir.bundle import searchset
from sharing.fhir.capability import capability_statement
from sharing.fhir.observation import group, panel_of, resource
from sharing.fhir.outcome import Issue, operation_outcome
from sharing.fhir.patient import patient
from sharing.pseudonyms import AppPseudonyms
from tests.sharing_readings import reading
from tests.tools.hapi.validator import Validator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
BASE = "https://agora.example/fhir"
PSEUDONYMS = AppPseudonyms(b"m" * 32, "app-of-tests")
EVERY_FLAG = int(sum(Quality, Quality.NONE))


@pytest.fixture(scope="module")
def validator() -> Iterator[Validator]:
    with Validator() as running:
        yield running


def observation(*values: tuple[str, float], quality: int = 0, site: str = "") -> dict[str, Any]:
    (members,) = group([reading(vital, value, quality=quality, site=site) for vital, value in values])
    return resource(members, PSEUDONYMS)


@pytest.mark.parametrize("vital", VITALS, ids=lambda vital: f"{vital.code} {vital.short}")
def test_each_vital_gives_a_valid_observation(validator: Validator, vital: Vital) -> None:
    made = observation((vital.code, vital.example))

    assert validator.errors(made) == []
    panel = panel_of(vital.code)
    profile = panel.profile if panel else vital.profile
    assert made.get("meta", {}).get("profile", []) == ([profile] if profile else [])


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.code)
def test_a_whole_panel_is_valid(validator: Validator, panel: Panel) -> None:
    examples = {vital.code: vital.example for vital in VITALS}

    made = observation(*((code, examples[code]) for code in panel.components))

    assert validator.errors(made) == []
    assert made["meta"]["profile"] == [panel.profile]


@pytest.mark.parametrize(
    ("panel", "component"),
    [(panel, code) for panel in PANELS for code in panel.components],
    ids=lambda value: getattr(value, "code", value),
)
def test_a_panel_with_one_component_is_valid_and_says_what_is_missing(validator: Validator, panel: Panel, component: str) -> None:
    made = observation((component, 90.0))

    assert validator.errors(made) == []
    missing = [part for part in made["component"] if "dataAbsentReason" in part]
    assert len(missing) == len(set(panel.required) - {component})


def test_every_quality_flag_and_a_site_are_valid(validator: Validator) -> None:
    assert validator.errors(observation(("8867-4", 72.5), quality=EVERY_FLAG, site="left-wrist")) == []


def test_a_searchset_of_all_kinds_is_valid(validator: Validator) -> None:
    resources = [observation((vital.code, vital.example)) for vital in VITALS if not vital.panel]

    bundle = searchset(BASE, resources, f"{BASE}/Observation?patient=x", f"{BASE}/Observation?patient=x&_cursor=y")

    assert validator.errors(bundle) == []
    assert len(bundle["entry"]) == len(resources)


def test_an_empty_searchset_is_valid(validator: Validator) -> None:
    assert validator.errors(searchset(BASE, [], f"{BASE}/Observation?patient=x")) == []


def test_a_patient_is_valid(validator: Validator) -> None:
    assert validator.errors(patient(PSEUDONYMS.subject("somebody"))) == []


def test_the_capability_statement_is_valid(validator: Validator) -> None:
    statement = capability_statement(BASE, "https://agora.example/oauth/token", 1_795_348_800_000_000)

    assert validator.errors(statement) == []


@pytest.mark.parametrize("issue", Issue)
def test_every_refusal_is_valid(validator: Validator, issue: Issue) -> None:
    assert validator.errors(operation_outcome(issue, "words")) == []


def test_the_validator_does_find_a_wrong_unit_and_a_missing_subject(validator: Validator) -> None:
    wrong = observation(("8867-4", 72.0))
    wrong["valueQuantity"] = wrong["valueQuantity"] | {"code": "bpm"}
    orphan = observation(("8867-4", 72.0))
    del orphan["subject"]

    assert any("bpm" in message.words for message in validator.errors(wrong))
    assert any("subject" in message.words for message in validator.errors(orphan))
