"""FHIR's way to say no: OperationOutcome. Words never hold a patient's value or a secret."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Issue(StrEnum):
    """Why, from FHIR's closed list (http://hl7.org/fhir/R4/valueset-issue-type.html), as far as we need it."""

    INVALID = "invalid"
    NOT_SUPPORTED = "not-supported"
    LOGIN = "login"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    TRANSIENT = "transient"
    THROTTLED = "throttled"
    EXCEPTION = "exception"


def operation_outcome(issue: Issue, words: str) -> dict[str, Any]:
    """Make an OperationOutcome with one error.

    Args:
        issue: why.
        words: for the developer of an app.
    """
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": issue.value, "diagnostics": words}]}
