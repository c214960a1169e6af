from __future__ import annotations

from typing import Any

import orjson
import pytest
from fhir.resources.R4B.observation import Observation as Resource

from catalogue.registry import PANELS, VITALS
from catalogue.vital import Panel, Vital
from contracts.instants import from_datetime
from contracts.observation import Observation, Quality
from sharing.fhir.observation import LOINC, MDC, UCUM, encode, group, identity, resource
from sharing.pseudonyms import AppPseudonyms
from tests.sharing_readings import reading

APP = AppPseudonyms(bytes(range(32)), "rhythm")


def shown(*readings: Observation) -> dict[str, Any]:
    (only,) = group(readings)
    return orjson.loads(encode(resource(only, APP)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("vital", VITALS, ids=lambda vital: vital.short)
def test_every_vital_gives_a_valid_observation_with_its_codes_unit_and_profile(vital: Vital) -> None:
    made = shown(reading(vital.code, vital.example, unit=vital.unit))
    Resource.model_validate(made)
    parts = made.get("component", [made])
    holder = next(part for part in parts if part["code"]["coding"][0]["code"] == vital.code)
    codings = [(coding["system"], coding["code"]) for coding in holder["code"]["coding"]]
    assert codings[0] == (LOINC, vital.code)
    assert {(LOINC, code) for code in vital.fhir_codes} <= set(codings)
    assert (MDC, str(vital.mdc)) in codings or not vital.mdc
    assert holder["valueQuantity"] == {"value": vital.example, "unit": vital.unit, "system": UCUM, "code": vital.unit}
    if vital.profile:
        assert made["meta"] == {"profile": [vital.profile]}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.code)
def test_components_of_a_panel_are_one_observation_in_the_panels_order(panel: Panel) -> None:
    made = shown(reading("8462-4", 80.0), reading("8480-6", 120.0))
    assert [part["code"]["coding"][0]["code"] for part in made["component"]] == ["8480-6", "8462-4"]
    assert made["code"]["coding"][0]["code"] == "85354-9"
    assert "valueQuantity" not in made


def test_a_required_component_that_is_not_shown_says_only_that_it_is_unknown() -> None:
    made = shown(reading("8480-6", 120.0))
    absent = made["component"][1]
    assert absent["code"]["coding"][0]["code"] == "8462-4"
    assert absent["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    assert len(made["component"]) == 2


def test_components_of_two_measurements_or_two_sites_stay_apart() -> None:
    assert len(group([reading("8480-6", 120.0), reading("8462-4", 80.0, at=99)])) == 2
    assert len(group([reading("8480-6", 120.0), reading("8462-4", 80.0, site="left")])) == 2
    assert len(group([reading("8480-6", 120.0), reading("8462-4", 80.0, device="other")])) == 2


def test_a_reading_that_stands_twice_in_a_record_is_shown_once() -> None:
    assert len(group([reading("8867-4", 70.0), reading("8867-4", 70.0)])) == 1
    assert [len(found) for found in group([reading("8480-6", 120.0), reading("8480-6", 120.0)])] == [1]


def test_the_same_readings_give_the_same_bytes_in_any_order() -> None:
    upper, lower = reading("8480-6", 120.0), reading("8462-4", 80.0)
    (one,), (other,) = group([upper, lower]), group([lower, upper])
    assert encode(resource(one, APP)) == encode(resource(other, APP))


def test_a_panel_shown_with_fewer_components_has_another_id() -> None:
    upper, lower = reading("8480-6", 120.0), reading("8462-4", 80.0)
    assert identity([upper]) != identity([upper, lower])
    assert identity([upper]) != identity([lower])


def test_no_inner_name_of_subject_device_organisation_or_reading_is_shown() -> None:
    text = encode(resource([reading("8867-4", 70.0)], APP)).decode()
    for inner in ("p-secret", "clinic-secret", "device-secret", reading("8867-4", 70.0).id.hex()):
        assert inner not in text


def test_times_are_the_corrected_one_and_the_arrival_with_microseconds_in_utc() -> None:
    made = shown(reading("8867-4", 70.0))
    parsed = Resource.model_validate(made)
    assert from_datetime(parsed.effectiveDateTime) == reading("8867-4", 70.0).effective_at
    assert from_datetime(parsed.issued) == reading("8867-4", 70.0).received_at


def test_test_data_is_labelled_and_doubt_about_a_reading_is_told() -> None:
    made = shown(reading("8867-4", 500.0, quality=Quality.TEST_DATA | Quality.IMPLAUSIBLE | Quality.SEQUENCED))
    assert [entry["code"] for entry in made["meta"]["security"]] == ["HTEST"]
    assert [entry["code"] for entry in made["meta"]["tag"]] == ["implausible"]


def test_a_whole_number_is_written_without_decimals_and_a_broken_one_as_it_is() -> None:
    assert b'"value":70,' in encode(resource([reading("8867-4", 70.0)], APP))
    assert b'"value":36.85,' in encode(resource([reading("8310-5", 36.85)], APP))
