"""The parameters of our FHIR searches, read strictly: what is unknown is refused in words, never ignored.

An ignored parameter is a wrong answer that looks like a right one. Source: http://hl7.org/fhir/R4/search.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from sharing.fhir.codes import vitals_of
from sharing.fhir.dates import Span, parse_dates
from sharing.fhir.outcome import Issue
from sharing.fhir.problem import SearchProblem

DEFAULT_COUNT = 100
MOST_COUNT = 1000
CURSOR = "_cursor"
OBSERVATION_PARAMETERS = ("patient", "subject", "code", "category", "date", "_count", "_sort", "_format", CURSOR)
PATIENT_PARAMETERS = ("_id", "_count", "_format", CURSOR)
READ_PARAMETERS = ("_format",)
SORTS = {"date": False, "-date": True}
FORMATS = ("json", "application/json", "application/fhir+json")
VITAL_SIGNS = ("vital-signs", "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs")
_IDENTIFIER = re.compile(r"[A-Za-z0-9.-]{1,64}")
_PARAMETER = re.compile(r"[A-Za-z0-9_:.-]{1,32}")

Parameters = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class ObservationSearch:
    """A search for Observations.

    Attributes:
        patient: id of the Patient, a pseudonym.
        vitals: canonical LOINC codes, or None for all.
        span: when they were measured.
        count: most Observations on a page, 1 to 1000.
        newest_first: the order.
        cursor: sealed place to go on from, or empty.
        parameters: what was asked, without the cursor, for links.
    """

    patient: str
    vitals: frozenset[str] | None
    span: Span
    count: int
    newest_first: bool
    cursor: str
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PatientSearch:
    """A search for Patients; attributes as in ``ObservationSearch``."""

    identifiers: frozenset[str] | None
    count: int
    cursor: str
    parameters: tuple[tuple[str, str], ...]


def observation_search(given: Parameters, base: str) -> ObservationSearch:
    """Read the parameters of a search for Observations.

    Args:
        given: names and values in their order.
        base: address of the FHIR endpoint, for references that hold it.

    Returns:
        What is asked.

    Raises:
        SearchProblem: a parameter is unknown, missing, repeated or wrong.
    """
    _check_names(given, OBSERVATION_PARAMETERS)
    return ObservationSearch(
        patient=_patient(given, base),
        vitals=_vitals(given),
        span=parse_dates(value for name, value in given if name == "date"),
        count=_count(given),
        newest_first=_newest_first(given),
        cursor=_single(given, CURSOR) or "",
        parameters=_without_cursor(given),
    )


def patient_search(given: Parameters) -> PatientSearch:
    """Read the parameters of a search for Patients.

    Raises:
        SearchProblem: a parameter is unknown, repeated or wrong.
    """
    _check_names(given, PATIENT_PARAMETERS)
    identifiers = _single(given, "_id")
    return PatientSearch(
        identifiers=None if identifiers is None else frozenset(identifiers.split(",")),
        count=_count(given),
        cursor=_single(given, CURSOR) or "",
        parameters=_without_cursor(given),
    )


def check_read(given: Parameters) -> None:
    """Check the parameters of a read by id.

    Raises:
        SearchProblem: there is one that a read does not take.
    """
    _check_names(given, READ_PARAMETERS)


def link(address: str, parameters: Iterable[tuple[str, str]], cursor: str = "") -> str:
    """Write the address of a page.

    Args:
        address: of the resource type.
        parameters: as they were asked.
        cursor: sealed place, or empty for the first page.
    """
    wanted = [*parameters, *([(CURSOR, cursor)] if cursor else [])]
    return f"{address}?{urlencode(wanted)}" if wanted else address


def _check_names(given: Parameters, allowed: Sequence[str]) -> None:
    for name, value in given:
        if name not in allowed:
            shown = name if _PARAMETER.fullmatch(name) else "of this name"
            known = ", ".join(other for other in allowed if other != CURSOR)
            raise SearchProblem(f"there is no parameter {shown} here; there are {known}", Issue.NOT_SUPPORTED)
        if "\x00" in value:
            raise SearchProblem(f"{name} holds a character that no value has")
    if (_single(given, "_format") or FORMATS[0]) not in FORMATS:
        raise SearchProblem("_format takes json; there is no other format", Issue.NOT_SUPPORTED)


def _single(given: Parameters, name: str) -> str | None:
    values = [value for other, value in given if other == name]
    if len(values) > 1:
        raise SearchProblem(f"{name} is given more than once")
    return values[0] if values else None


def _without_cursor(given: Parameters) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in given if name != CURSOR)


def _patient(given: Parameters, base: str) -> str:
    patient, subject = _single(given, "patient"), _single(given, "subject")
    if (patient is None) == (subject is None):
        raise SearchProblem("patient is needed, once: the id of a Patient, as in patient=0192f0aa-…")
    reference = (patient if patient is not None else subject or "").removeprefix(f"{base}/")
    kind, slash, identifier = reference.rpartition("/")
    if not _IDENTIFIER.fullmatch(identifier) or (slash and kind != "Patient") or (subject is not None and not slash):
        raise SearchProblem("patient is not the id of a Patient, nor Patient/ and the id (subject takes only the second)")
    return identifier


def _vitals(given: Parameters) -> frozenset[str] | None:
    """Give the vitals all values of ``code`` agree on; a category we have none of leaves none."""
    wanted: frozenset[str] | None = None
    for name, value in given:
        if name == "code":
            found = vitals_of(value)
            wanted = found if wanted is None else wanted & found
        elif name == "category" and not set(value.split(",")) & set(VITAL_SIGNS):
            wanted = frozenset()
    return wanted


def _count(given: Parameters) -> int:
    text = _single(given, "_count")
    if text is None:
        return DEFAULT_COUNT
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):
        raise SearchProblem(f"_count takes a whole number from 1 to {MOST_COUNT}")
    return min(int(text), MOST_COUNT)


def _newest_first(given: Parameters) -> bool:
    order = _single(given, "_sort")
    if order is None:
        return True
    if order not in SORTS:
        raise SearchProblem("_sort takes date or -date", Issue.NOT_SUPPORTED)
    return SORTS[order]
