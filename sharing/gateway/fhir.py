"""The FHIR R4 endpoint: metadata, Patient, Observation. Every access is in the access log before its answer leaves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from psycopg import Connection

from catalogue.registry import VITALS
from runtime.clock import now
from sharing.fhir.bundle import searchset
from sharing.fhir.capability import capability_statement
from sharing.fhir.cursor import ObservationPlace, search_of
from sharing.fhir.dates import EARLIEST, LATEST, Span
from sharing.fhir.observation import resource
from sharing.fhir.problem import SearchProblem
from sharing.fhir.search import ObservationSearch, Parameters, link, observation_search
from sharing.gateway import events, readings, services
from sharing.gateway.access_log import Access, record
from sharing.gateway.apps import subject_named
from sharing.gateway.callers import Caller, authorised
from sharing.gateway.readings import Page, Query, Window
from sharing.gateway.refusals import FHIR_JSON, Refusal, unavailable
from sharing.gateway.services import Services

TRIES = 3
"""How often a search is repeated because a consent changed while it was answered."""
ALL_VITALS = frozenset(vital.code for vital in VITALS)
_ACCEPTED = ("json", "*/*", "application/*", "text/html")
FHIR_ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {"description": "a resource" if status == 200 else "OperationOutcome", "content": {FHIR_JSON: {}}}
    for status in (200, 400, 401, 403, 404, 406, 422, 429, 503)
}


class _Changed(Exception):
    """A consent changed between the query and the answer."""


def fhir_response(body: dict[str, Any], status: int = 200) -> Response:
    """Write a resource."""
    return Response(orjson.dumps(body), status, media_type=FHIR_JSON)


def parameters_of(request: Request) -> Parameters:
    """Give all query parameters in their order, repeated ones too."""
    return request.query_params.multi_items()


def accept(request: Request) -> None:
    """Check that the client reads JSON.

    Raises:
        Refusal: it asks for another format only.
    """
    wanted = request.headers.get("accept", "*/*")
    if not any(word in wanted for word in _ACCEPTED):
        raise Refusal(406, "there is only application/fhir+json")


def refused(problem: SearchProblem) -> Refusal:
    """Turn a problem with a search into an answer."""
    return Refusal(400, problem.words, issue=problem.issue)


def router() -> APIRouter:
    """Make the routes of Observation and metadata; those of Patient are in ``patients``."""
    routes = APIRouter(prefix="/fhir", tags=["FHIR R4"], responses=FHIR_ANSWERS)

    @routes.get("/metadata", summary="CapabilityStatement", response_class=Response)
    def metadata(request: Request) -> Response:
        accept(request)
        held = services.of(request)
        return fhir_response(capability_statement(held.fhir_base, held.token_address, held.started_at))

    @routes.get("/Observation", summary="Search Observations of a Patient", response_class=Response, openapi_extra=_documented())
    def search(request: Request) -> Response:
        accept(request)
        caller = authorised(request, "Observation", "s")
        held = services.of(request)
        try:
            wanted = observation_search(parameters_of(request), held.fhir_base)
            return fhir_response(_search(held, caller, wanted))
        except SearchProblem as problem:
            raise refused(problem) from None

    return routes


def _search(held: Services, caller: Caller, wanted: ObservationSearch) -> dict[str, Any]:
    scope = search_of(caller.app.name, "Observation", wanted.parameters)
    after = held.seal.open(wanted.cursor, ObservationPlace, scope) if wanted.cursor else None
    for _ in range(TRIES):
        try:
            page = _logged_page(held, caller, wanted, after)
        except _Changed:
            continue
        pseudonyms = held.directory.pseudonyms(caller.app)
        address = f"{held.fhir_base}/Observation"
        next_link = link(address, wanted.parameters, held.seal.seal(page.last, scope)) if page.last else ""
        self_link = link(address, wanted.parameters, wanted.cursor)
        return searchset(held.fhir_base, [resource(members, pseudonyms) for members in page.groups], self_link, next_link)
    raise unavailable()


def _logged_page(held: Services, caller: Caller, wanted: ObservationSearch, after: ObservationPlace | None) -> Page:
    """Read a page, log it, and ask once more whether what it rests on still holds.

    Raises:
        _Changed: it does not; nothing may be sent.
    """
    vitals = ALL_VITALS if wanted.vitals is None else wanted.vitals
    with held.database() as connection:
        subject = held.directory.find(connection, caller.app, wanted.patient)
        if subject is None:
            named = subject_named(connection, wanted.patient)
            _refuse(connection, caller, "patient unknown", named, wanted)
            return Page((), (), None)
        query = Query(
            app=caller.app.name, subject_key=subject.key, subject=subject.name, vitals=vitals, span=wanted.span,
            count=wanted.count, newest_first=wanted.newest_first, after=after,
        )  # fmt: skip
        windows = readings.windows(connection, query) if vitals else []
        if not windows:
            reason = "no consent" if vitals else "no such vital"
            _refuse(connection, caller, reason, subject.name, wanted)
            return Page((), (), None)
        page = readings.page(connection, query, windows, now())
        accesses = list(_accesses(caller, query, windows, page))
        record(connection, accesses)
    if not _still_holds(held, caller, query, page):
        raise _Changed
    events.READINGS_ANSWERED.emit(len(page.released))
    return page


def _still_holds(held: Services, caller: Caller, query: Query, page: Page) -> bool:
    """Ask, right before sending, whether the consents still hold; if not, log that what was logged did not leave."""
    with held.database() as connection:
        holds = readings.still_hold(connection, query, {(one.consent, one.revision) for one in page.released})
        if not holds:
            reason = "consent changed before the answer left"
            events.ACCESS_REFUSED.emit(reason="consent changed")
            withheld = Access(
                app=query.app, channel="fhir", outcome="refused", reason=reason, subject=query.subject, request=caller.request
            )
            record(connection, [withheld])
    return holds


def _refuse(connection: Connection[Any], caller: Caller, reason: str, subject: str, wanted: ObservationSearch) -> None:
    events.ACCESS_REFUSED.emit(reason=reason)
    access = Access(
        app=caller.app.name, channel="fhir", outcome="refused", reason=reason, subject=subject, vitals=wanted.vitals or (),
        period=_period(wanted.span), request=caller.request,
    )  # fmt: skip
    record(connection, [access])


def _accesses(caller: Caller, query: Query, windows: Iterable[Window], page: Page) -> Iterable[Access]:
    """Give one row of the log for each consent on which readings were released, else one that says that none were there."""
    consents = {(window.consent, window.revision): window for window in windows}
    by_consent: dict[tuple[UUID, int], list[readings.Released]] = defaultdict(list)
    for one in page.released:
        by_consent[one.consent, one.revision].append(one)
    for (consent, revision), released in by_consent.items():
        instants = [one.reading.effective_at for one in released]
        window = consents.get((consent, revision))
        yield Access(
            app=query.app, channel="fhir", outcome="released", subject=query.subject, request=caller.request,
            vitals={one.reading.vital for one in released}, period=(min(instants), max(instants)), readings=len(released),
            purpose=window.purpose if window else "", consent=consent, revision=revision,
        )  # fmt: skip
    if not by_consent:
        window = next(iter(consents.values()))
        yield Access(
            app=query.app, channel="fhir", outcome="empty", subject=query.subject, request=caller.request,
            vitals={window.vital for window in windows}, period=_period(query.span), purpose=window.purpose,
            consent=window.consent, revision=window.revision,
        )  # fmt: skip


def _period(span: Span) -> tuple[int, int] | None:
    return None if span == Span(EARLIEST, LATEST) else span


def _documented() -> dict[str, Any]:
    """Describe the parameters, which are read by hand since FHIR's go beyond what OpenAPI can check."""
    words = {
        "patient": "id of a Patient",
        "subject": "Patient/id, in place of patient",
        "code": "LOINC code or system|code, several separated by commas",
        "category": "vital-signs",
        "date": "date with prefix; may be repeated",
        "_count": "1 to 1000",
        "_sort": "date or -date",
        "_format": "json",
    }
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
            for name, text in words.items()
        ]
    }
