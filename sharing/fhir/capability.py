"""What the FHIR endpoint can do, as it tells it itself (``GET /fhir/metadata``)."""

from __future__ import annotations

from typing import Any

from catalogue.registry import PANELS, VITALS
from contracts.instants import to_text
from runtime.version import VERSION

FHIR_VERSION = "4.0.1"
DESCRIPTION = "Vital signs of consenting people, under pseudonyms; not for clinical decisions"
DEFINITIONS = "http://hl7.org/fhir/SearchParameter"


def capability_statement(base: str, token_address: str, started_at: int) -> dict[str, Any]:
    """Make the CapabilityStatement of this gateway.

    Args:
        base: address of the FHIR endpoint.
        token_address: where access tokens are given.
        started_at: instant in microseconds since which it is as described.
    """
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": to_text(started_at),
        "kind": "instance",
        "software": {"name": "Agora", "version": VERSION},
        "implementation": {"description": DESCRIPTION, "url": base},
        "fhirVersion": FHIR_VERSION,
        "format": ["json"],
        "rest": [{"mode": "server", "security": _security(token_address), "resource": [_observation(), _patient()]}],
    }


def _security(token_address: str) -> dict[str, Any]:
    service = {"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}
    return {
        "service": [{"coding": [service]}],
        # SMART's extension for the address is not used: its profile demands an authorize endpoint, which there is none of.
        "description": f"OAuth 2 client credentials (SMART backend services), tokens at {token_address}; see"
        " .well-known/smart-configuration. Consent is checked on each record of each answer.",
    }


def _observation() -> dict[str, Any]:
    profiles = {vital.profile for vital in VITALS} | {panel.profile for panel in PANELS}
    return {
        "type": "Observation",
        "supportedProfile": sorted(profiles - {""}),
        "interaction": [{"code": "search-type"}],
        "searchParam": [
            _parameter("patient", "reference", "clinical-patient", "Needed. The id of a Patient."),
            _parameter("subject", "reference", "Observation-subject", "As patient, in the form Patient/id."),
            _parameter("code", "token", "clinical-code", "LOINC or IEEE 11073 codes; a component's code finds its panel."),
            _parameter("category", "token", "Observation-category", "Everything here is vital-signs."),
            _parameter("date", "date", "clinical-date", "When measured; prefixes eq, gt, ge, lt, le, sa, eb; may be repeated."),
        ],
    }


def _patient() -> dict[str, Any]:
    return {
        "type": "Patient",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [_parameter("_id", "token", "Resource-id", "Ids of Patients, separated by commas.")],
    }


def _parameter(name: str, kind: str, definition: str, words: str) -> dict[str, str]:
    return {"name": name, "definition": f"{DEFINITIONS}/{definition}", "type": kind, "documentation": words}
