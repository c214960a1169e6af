"""The HTTP application: routes, their order, and how errors are told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from psycopg import OperationalError
from starlette.exceptions import HTTPException

from contracts.errors import Unavailable
from runtime.version import VERSION
from sharing.gateway import events, fhir, operator, patients, services, tokens
from sharing.gateway.models import Health
from sharing.gateway.refusals import Refusal, on_http_error, on_invalid, on_refusal, render, unavailable
from sharing.gateway.services import Services

DESCRIPTION = "Consented vital signs by FHIR R4, and the operator's API. Not for clinical decisions."
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def make_application(held: Services, lifespan: Lifespan | None = None) -> FastAPI:
    """Put the application together.

    Args:
        held: what the routes work with.
        lifespan: opens and closes it.
    """
    application = FastAPI(
        title="Agora gateway", version=VERSION, description=DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    application.state.services = held
    application.add_exception_handler(Refusal, on_refusal)
    application.add_exception_handler(HTTPException, on_http_error)
    application.add_exception_handler(RequestValidationError, on_invalid)
    application.add_exception_handler(Unavailable, _on_unavailable)
    application.add_exception_handler(OperationalError, _on_unavailable)
    application.add_exception_handler(Exception, _on_unexpected)
    for router in (tokens.router(held.settings), fhir.router(), patients.router(), operator.router()):
        application.include_router(router)
    application.add_api_route("/healthz", _health, tags=["Health"], summary="Whether requests can be answered")
    return application


def _health(request: Request) -> Health:
    with services.of(request).database() as connection:
        connection.execute("SELECT 1")
    return Health(status="ok")


def _on_unavailable(request: Request, _error: Exception) -> Response:
    events.DEPENDENCY_MISSED.emit(dependency="database")
    return render(request.url.path, unavailable())


def _on_unexpected(request: Request, _error: Exception) -> Response:
    words = "an error of ours; the request id helps to find it"
    return render(request.url.path, Refusal(500, words, error="server_error"))
