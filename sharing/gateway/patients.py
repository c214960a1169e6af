"""The Patients of the FHIR endpoint: people with a consent for the app that holds now, each a pseudonym and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from psycopg import Connection

from sharing.fhir.bundle import searchset
from sharing.fhir.cursor import PatientPlace, search_of
from sharing.fhir.patient import patient
from sharing.fhir.problem import SearchProblem
from sharing.fhir.search import PatientSearch, check_read, link, patient_search
from sharing.gateway import events, services
from sharing.gateway.access_log import Access, record
from sharing.gateway.apps import subject_named
from sharing.gateway.callers import Caller, authorised
from sharing.gateway.fhir import FHIR_ANSWERS, accept, fhir_response, parameters_of, refused
from sharing.gateway.refusals import Refusal
from sharing.gateway.services import Services

_CONSENTING = """
SELECT DISTINCT ON (s.subject_key) s.name::text, c.consent, c.revision, c.purpose
FROM active_consents c JOIN subjects s USING (subject_key)
WHERE c.app = %(app)s AND (%(subject)s::integer IS NULL OR c.subject_key = %(subject)s)
ORDER BY s.subject_key, c.lower_bound, c.consent
"""


class Consenting(NamedTuple):
    """A subject with a consent for the app that holds now."""

    subject: str
    consent: UUID
    revision: int
    purpose: str


def router() -> APIRouter:
    """Make the routes of Patient."""
    routes = APIRouter(prefix="/fhir", tags=["FHIR R4"], responses=FHIR_ANSWERS)

    @routes.get("/Patient", summary="Search Patients", response_class=Response, openapi_extra=_documented())
    def search(request: Request) -> Response:
        accept(request)
        caller = authorised(request, "Patient", "s")
        try:
            return fhir_response(_search(services.of(request), caller, patient_search(parameters_of(request))))
        except SearchProblem as problem:
            raise refused(problem) from None

    @routes.get("/Patient/{identifier}", summary="Read a Patient", response_class=Response)
    def read(request: Request, identifier: str) -> Response:
        accept(request)
        caller = authorised(request, "Patient", "r")
        try:
            check_read(parameters_of(request))
        except SearchProblem as problem:
            raise refused(problem) from None
        if not _read(services.of(request), caller, identifier):
            raise Refusal(404, "there is no Patient of this id, or no consent of theirs")
        return fhir_response(patient(identifier))

    return routes


def _read(held: Services, caller: Caller, pseudonym: str) -> bool:
    with held.database() as connection:
        found = _visible(held, connection, caller, pseudonym)
        record(connection, _accesses(caller, found))
    return bool(found)


def _search(held: Services, caller: Caller, wanted: PatientSearch) -> dict[str, Any]:
    scope = search_of(caller.app.name, "Patient", wanted.parameters)
    after = held.seal.open(wanted.cursor, PatientPlace, scope).pseudonym if wanted.cursor else ""
    with held.database() as connection:
        found = _named(held, connection, caller, wanted)
        later = sorted(pseudonym for pseudonym in found if pseudonym > after)
        shown = later[: wanted.count]
        record(connection, _accesses(caller, [found[pseudonym] for pseudonym in shown]))
    address = f"{held.fhir_base}/Patient"
    more = len(later) > len(shown)
    next_link = link(address, wanted.parameters, held.seal.seal(PatientPlace(shown[-1]), scope)) if more else ""
    self_link = link(address, wanted.parameters, wanted.cursor)
    return searchset(held.fhir_base, [patient(pseudonym) for pseudonym in shown], self_link, next_link)


def _named(held: Services, connection: Connection[Any], caller: Caller, wanted: PatientSearch) -> dict[str, Consenting]:
    """Give who may be seen, by pseudonym: all, or those of the ids asked for."""
    pseudonyms = held.directory.pseudonyms(caller.app)
    if wanted.identifiers is None:
        everybody = _consenting(connection, caller, None)
    else:
        everybody = [one for identifier in sorted(wanted.identifiers) for one in _visible(held, connection, caller, identifier)]
    return {pseudonyms.subject(one.subject): one for one in everybody}


def _visible(held: Services, connection: Connection[Any], caller: Caller, pseudonym: str) -> Sequence[Consenting]:
    """Give the one subject of a pseudonym, or nobody, which is then logged as refused."""
    subject = held.directory.find(connection, caller.app, pseudonym)
    found = [] if subject is None else _consenting(connection, caller, subject.key)
    if not found:
        reason = "patient unknown" if subject is None else "no consent"
        name = subject_named(connection, pseudonym) if subject is None else subject.name
        events.ACCESS_REFUSED.emit(reason=reason)
        access = Access(
            app=caller.app.name, channel="fhir", outcome="refused", reason=reason, subject=name, request=caller.request
        )
        record(connection, [access])
    return found


def _consenting(connection: Connection[Any], caller: Caller, subject_key: int | None) -> list[Consenting]:
    rows = connection.execute(_CONSENTING, {"app": caller.app.name, "subject": subject_key}).fetchall()
    return [Consenting(*row) for row in rows]


def _accesses(caller: Caller, seen: Iterable[Consenting]) -> list[Access]:
    return [
        Access(
            app=caller.app.name, channel="fhir", outcome="released", subject=one.subject, request=caller.request,
            purpose=one.purpose, consent=one.consent, revision=one.revision,
        )
        for one in seen
    ]  # fmt: skip


def _documented() -> dict[str, Any]:
    words = {"_id": "ids of Patients, separated by commas", "_count": "1 to 1000", "_format": "json"}
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
            for name, text in words.items()
        ]
    }
