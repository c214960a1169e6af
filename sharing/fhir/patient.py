"""A subject as an app may see it: a Patient with a pseudonym and nothing else."""

from __future__ import annotations

from typing import Any

SUBJECT_SYSTEM = "urn:agora:subject"
"""Namespace of the pseudonymous subject identifier."""


def patient(pseudonym: str) -> dict[str, Any]:
    """Make the Patient of a subject.

    Args:
        pseudonym: the subject's name for this app.

    Source: HL7 v3 ObservationValue PSEUDED, "pseudonymized".
    """
    label = {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "PSEUDED",
        "display": "pseudonymized",
    }
    return {
        "resourceType": "Patient",
        "id": pseudonym,
        "meta": {"security": [label]},
        "identifier": [{"system": SUBJECT_SYSTEM, "value": pseudonym}],
        "active": True,
    }
