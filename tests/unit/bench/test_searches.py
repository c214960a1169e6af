import json
from typing import Any

import pytest

from bench.chain import searches
from contracts.instants import SECOND, to_text
from sharing.fhir.search import observation_search

NOW = 1_764_000_000 * SECOND + 250_000
PATIENT, SHARED, UNSHARED = "a-patient", "8867-4", "59408-5"


def asked_of(kind: str) -> list[tuple[str, str]]:
    return searches.parameters(kind, PATIENT, SHARED, UNSHARED, NOW)


def bundle(*instants: int, patient: str = PATIENT, code: str = SHARED) -> dict[str, Any]:
    entries = [
        {
            "resource": {
                "subject": {"reference": f"Patient/{patient}"},
                "code": {"coding": [{"system": searches.LOINC, "code": code}]},
                "effectiveDateTime": to_text(instant),
            }
        }
        for instant in instants
    ]
    return {"entry": entries, "link": [{"relation": "self", "url": "here"}, {"relation": "next", "url": "there"}]}


@pytest.mark.parametrize("kind", ["latest", "day", "unshared"])
def test_the_gateway_understands_each_kind_of_search(kind: str) -> None:
    wanted = observation_search(asked_of(kind), "https://localhost/fhir")
    assert wanted.patient == PATIENT
    assert wanted.vitals == frozenset({UNSHARED if kind == "unshared" else SHARED})
    assert wanted.newest_first is (kind != "day")


def test_a_day_ends_with_the_present_second_and_holds_what_was_measured_in_it() -> None:
    span = observation_search(asked_of("day"), "https://localhost/fhir").span
    assert span.start <= NOW - 24 * 3600 * SECOND + SECOND
    assert span.start < NOW < span.end
    assert searches.fault_in(bundle(NOW - 5, NOW), "day", PATIENT, SHARED, asked_of("day")) == ""


def test_what_may_be_answered_is_not_called_a_fault() -> None:
    assert searches.fault_in(bundle(NOW, NOW - 1), "latest", PATIENT, SHARED, asked_of("latest")) == ""
    assert searches.fault_in({"link": []}, "latest", PATIENT, SHARED, asked_of("latest")) == ""
    assert searches.fault_in({"link": []}, "unshared", PATIENT, SHARED, asked_of("unshared")) == ""


@pytest.mark.parametrize(
    ("kind", "answer", "fault"),
    [
        ("unshared", bundle(NOW, code=UNSHARED), "a vital that is not shared was answered"),
        ("latest", bundle(NOW, code=UNSHARED), "an Observation of another vital was answered"),
        ("latest", bundle(NOW, patient="another"), "an Observation of another patient was answered"),
        ("latest", bundle(NOW - 1, NOW), "Observations were not answered in the order asked for"),
        ("latest", bundle(*[NOW] * 11), "more Observations were answered than asked for"),
        ("day", bundle(NOW - 25 * 3600 * SECOND), "an Observation outside the dates asked for was answered"),
        ("page", bundle(NOW + SECOND), "an Observation outside the dates asked for was answered"),
    ],
)
def test_what_may_not_be_answered_is_found_and_told_without_a_value(kind: str, answer: dict[str, Any], fault: str) -> None:
    assert searches.fault_in(answer, kind, PATIENT, SHARED, asked_of("day" if kind == "page" else kind)) == fault


def test_the_next_page_is_found_by_its_link() -> None:
    assert searches.next_page(bundle(NOW)) == "there"
    assert searches.next_page({"link": [{"relation": "self", "url": "here"}]}) == ""


def test_an_error_is_told_by_its_status_and_code_only() -> None:
    outcome = {"issue": [{"code": "throttled", "diagnostics": "words"}]}
    assert searches.complaint(429, json.dumps(outcome).encode()) == "429 throttled"
    assert searches.complaint(502, b"<html>") == "502"
    assert searches.complaint(503, b"[]") == "503"
