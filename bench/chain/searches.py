"""The searches an app asks again and again, and what may be answered to each; pure.

``latest``: the newest ten of one vital of a patient. ``day``: that vital over the last 24 hours, the first page of 100.
``page``: the page after such a one. ``unshared``: a vital that the patient does not share, which must find nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from contracts.instants import DAY, SECOND, from_datetime, to_text

KINDS = ("latest", "day", "page", "unshared")
LATEST_COUNT, DAY_COUNT = 10, 100
LOINC = "http://loinc.org"
Asked = Sequence[tuple[str, str]]


def parameters(kind: str, patient: str, shared: str, unshared: str, now: int) -> list[tuple[str, str]]:
    """Give what a search asks.

    Args:
        kind: of ``KINDS``, but ``page``, whose address the page before it gives.
        patient: as the app knows the patient.
        shared: LOINC code that the app may see.
        unshared: one that it may not see.
        now: the present, microseconds.
    """
    named = [("patient", patient), ("code", f"{LOINC}|{unshared if kind == 'unshared' else shared}")]
    if kind == "day":
        second = now - now % SECOND
        since, until = to_text(second - DAY), to_text(second + SECOND)
        return [*named, ("date", f"ge{since}"), ("date", f"lt{until}"), ("_sort", "date"), ("_count", str(DAY_COUNT))]
    return [*named, ("_sort", "-date"), ("_count", str(LATEST_COUNT))]


def found_in(bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the resources of a page."""
    return [entry["resource"] for entry in bundle.get("entry", [])]


def next_page(bundle: Mapping[str, Any]) -> str:
    """Give the address of the page after this one; empty on the last."""
    links = bundle.get("link", [])
    return next((str(link["url"]) for link in links if link["relation"] == "next"), "")


def fault_in(bundle: Mapping[str, Any], kind: str, patient: str, shared: str, asked: Asked) -> str:
    """Look for what may not be in an answer.

    Args:
        bundle: the answer.
        kind: of ``KINDS``.
        patient: who was asked about.
        shared: the one LOINC code that may be seen.
        asked: the parameters; for ``page`` those of the page before.

    Returns:
        What is wrong, in words without a value of anybody; empty where all is right.
    """
    found = found_in(bundle)
    if kind == "unshared":
        return "a vital that is not shared was answered" if found else ""
    for resource in found:
        if resource.get("subject", {}).get("reference") != f"Patient/{patient}":
            return "an Observation of another patient was answered"
        if shared not in {coding.get("code") for coding in resource["code"]["coding"] if coding.get("system") == LOINC}:
            return "an Observation of another vital was answered"
    instants = [from_datetime(datetime.fromisoformat(resource["effectiveDateTime"])) for resource in found]
    return _disorder(instants, len(found), dict(asked)) or _outside(instants, asked)


def _disorder(instants: Sequence[int], count: int, asked: Mapping[str, str]) -> str:
    if count > int(asked["_count"]):
        return "more Observations were answered than asked for"
    if list(instants) != sorted(instants, reverse=asked["_sort"] == "-date"):
        return "Observations were not answered in the order asked for"
    return ""


def _outside(instants: Sequence[int], asked: Asked) -> str:
    for name, value in asked:
        if name == "date":
            bound = from_datetime(datetime.fromisoformat(value[2:]))
            if any(instant < bound if value.startswith("ge") else instant >= bound for instant in instants):
                return "an Observation outside the dates asked for was answered"
    return ""


def complaint(status: int, body: bytes) -> str:
    """Say shortly what an answer other than 200 was: its status, and the code of its OperationOutcome where it has one."""
    try:
        code = json.loads(body)["issue"][0]["code"]
    except (ValueError, LookupError, TypeError):
        return str(status)
    return f"{status} {code}"
