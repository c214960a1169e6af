"""The operator's API: consents, alerts, the access log. One bearer token, which only the operator has."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from psycopg.rows import class_row, dict_row

from contracts.alerts import AlertCommand, Transition
from contracts.errors import Unavailable
from contracts.instants import to_datetime
from runtime.clock import now
from sharing import consents
from sharing.consents import ConsentRefused
from sharing.gateway import callers, events, services
from sharing.gateway.models import (
    AccessEntry,
    AccessFilter,
    AccessLog,
    Acknowledgement,
    AcknowledgementTaken,
    Alert,
    AlertFilter,
    Alerts,
    Consent,
    ConsentFilter,
    ConsentGrant,
    Consents,
)
from sharing.gateway.refusals import Refusal, unavailable
from sharing.gateway.services import Services

RECORDED_BY = "operator's API"
_ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {"description": "problem details", "content": {"application/problem+json": {}}}
    for status in (400, 401, 404, 409, 422, 503)
}
_ALERTS = """
SELECT alert, org, subject, rule, vital, state, severity, onset, changed_at, number, about_past,
       actor AS acknowledged_by, note
FROM alerts
WHERE (%(subject)s::text IS NULL OR subject = %(subject)s) AND (NOT %(open)s OR state <> 'resolved')
ORDER BY onset DESC, alert LIMIT %(limit)s
"""
_ACCESSES = """
SELECT access_id, at, app, channel, outcome, reason, subject, vitals, period_start, period_end, readings, purpose, consent,
       consent_revision, request
FROM access_log
WHERE (%(subject)s::text IS NULL OR subject = %(subject)s) AND (%(app)s::text IS NULL OR app = %(app)s)
  AND (%(outcome)s::text IS NULL OR outcome = %(outcome)s) AND (%(before)s::bigint IS NULL OR access_id < %(before)s)
ORDER BY access_id DESC LIMIT %(limit)s
"""


def router() -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/api/v1", tags=["Operator"], dependencies=[Depends(callers.operator)], responses=_ANSWERS)
    _consent_routes(routes)
    _alert_routes(routes)

    @routes.get("/access-log", summary="Who saw what, and who was refused")
    def access_log(request: Request, wanted: Annotated[AccessFilter, Query()]) -> AccessLog:
        with services.of(request).database() as connection, connection.cursor(row_factory=class_row(AccessEntry)) as cursor:
            return AccessLog(accesses=tuple(cursor.execute(_ACCESSES, wanted.model_dump()).fetchall()))

    return routes


def _consent_routes(routes: APIRouter) -> None:
    @routes.post("/consents", status_code=201, summary="Record a consent")
    def grant(request: Request, asked: ConsentGrant) -> Consent:
        with services.of(request).database() as connection:
            try:
                return Consent.of(consents.grant(connection, asked.asked(), RECORDED_BY))
            except ConsentRefused as refused:
                raise Refusal(422, str(refused)) from None

    @routes.post("/consents/{consent}/withdraw", summary="Withdraw a consent")
    def withdraw(request: Request, consent: UUID) -> Consent:
        with services.of(request).database() as connection:
            try:
                return Consent.of(consents.withdraw(connection, str(consent), RECORDED_BY))
            except ConsentRefused as refused:
                raise Refusal(404, str(refused)) from None

    @routes.get("/consents", summary="List consents")
    def listed(request: Request, wanted: Annotated[ConsentFilter, Query()]) -> Consents:
        with services.of(request).database() as connection:
            found = consents.listed(connection, wanted.subject, wanted.app)
        return Consents(consents=tuple(Consent.of(record) for record in found))


def _alert_routes(routes: APIRouter) -> None:
    @routes.get("/alerts", summary="List alerts")
    def alerts(request: Request, wanted: Annotated[AlertFilter, Query()]) -> Alerts:
        with services.of(request).database() as connection, connection.cursor(row_factory=class_row(Alert)) as cursor:
            return Alerts(alerts=tuple(cursor.execute(_ALERTS, wanted.model_dump()).fetchall()))

    @routes.post("/alerts/{alert}/acknowledge", status_code=202, summary="Take an alert in hand")
    async def acknowledge(request: Request, alert: UUID, word: Acknowledgement) -> AcknowledgementTaken:
        held = services.of(request)
        subject = await to_thread.run_sync(_subject_of_open_alert, held, alert)
        command = AlertCommand(
            alert=str(alert), subject=subject, action=Transition.ACKNOWLEDGED, by=word.by, at=now(), note=word.note
        )
        try:
            await held.commands.publish(command)
        except Unavailable:
            events.DEPENDENCY_MISSED.emit(dependency="kafka")
            raise unavailable() from None
        return AcknowledgementTaken(alert=alert, subject=subject, at=to_datetime(command.at))


def _subject_of_open_alert(held: Services, alert: UUID) -> str:
    with held.database() as connection, connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            "SELECT subject, transition FROM alert_transitions WHERE alert = %s ORDER BY number DESC LIMIT 1", [alert]
        ).fetchone()
    if row is None:
        raise Refusal(404, "there is no alert of this id")
    if row["transition"] == Transition.RESOLVED:
        raise Refusal(409, "the alert is resolved already")
    return str(row["subject"])
