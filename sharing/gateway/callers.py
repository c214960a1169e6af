"""Who calls: an app with an access token, or the operator."""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from psycopg import Connection

from runtime.clock import now
from sharing.gateway import events, services
from sharing.gateway.access_log import Access, record
from sharing.gateway.apps import KnownApp, app_by_name
from sharing.gateway.refusals import Refusal, too_many, unavailable
from sharing.oauth import TokenRefused


@dataclass(frozen=True)
class Caller:
    """An app that may do what it asks; whose readings it gets is for consent to say.

    Attributes:
        app: which.
        request: id of its request.
    """

    app: KnownApp
    request: str


def bearer_token(request: Request) -> str:
    """Take the bearer token out of a request.

    Raises:
        Refusal: there is none.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        events.ACCESS_REFUSED.emit(reason="no token")
        raise Refusal(401, "an access token is needed: Authorization: Bearer …", headers={"WWW-Authenticate": "Bearer"})
    return token.strip()


def authorised(request: Request, resource: str, interaction: str) -> Caller:
    """Check the token of an app, that it does not ask too often, that the app is alive, and that the token's scopes reach.

    Args:
        request: with the token.
        resource: FHIR resource type it asks for.
        interaction: ``r`` or ``s``.

    Raises:
        Refusal: 401 for the token, 403 for the scope, 429 for too many requests, 503 in a database that was restored from a
            backup: what ended since then is not ended in it until the keeper has held it against Kafka.
    """
    held = services.of(request)
    try:
        access = held.tokens.read(bearer_token(request), now())
    except TokenRefused:
        events.ACCESS_REFUSED.emit(reason="token invalid")
        raise _invalid_token() from None
    _check_rate(request, access.app)
    with held.database() as connection:
        app = app_by_name(connection, access.app)
        confirmed = _confirmed(connection)
        if not confirmed:
            _refuse(connection, access.app, "registry not confirmed", services.request_id(request))
        elif app is None or not app.active:
            _refuse(connection, access.app, "app revoked", services.request_id(request))
        elif not access.allows(resource, interaction):
            _refuse(connection, access.app, "scope too narrow", services.request_id(request))
    if not confirmed:
        raise unavailable()
    if app is None or not app.active:
        raise _invalid_token()
    if not access.allows(resource, interaction):
        needed = f"system/{resource}.{interaction}"
        challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{needed}"'}
        raise Refusal(403, f"the token has no scope for this: {needed}", headers=challenge)
    return Caller(app, services.request_id(request))


def _confirmed(connection: Connection[Any]) -> bool:
    return connection.execute("SELECT registry_confirmed()").fetchone() == (True,)


def _check_rate(request: Request, app: str) -> None:
    """Count a request before it costs anything.

    Raises:
        Refusal: the app asks too often; on record once a minute.
    """
    held, at = services.of(request), time.monotonic()
    wait = held.queries.wait_seconds(app, at)
    if wait and held.queries.to_be_written(app, at):
        with held.database() as connection:
            _refuse(connection, app, "too many requests", services.request_id(request))
    elif wait:
        events.ACCESS_REFUSED.emit(reason="too many requests")
    if wait:
        raise too_many(wait)


def operator(request: Request) -> None:
    """Let only the operator pass.

    Raises:
        Refusal: another token, or none.
    """
    expected = services.of(request).settings.operator_token.get_secret_value()
    if not hmac.compare_digest(bearer_token(request).encode(), expected.encode()):
        events.ACCESS_REFUSED.emit(reason="not the operator")
        raise _invalid_token()


def _refuse(connection: Connection[Any], app: str, reason: str, request: str) -> None:
    events.ACCESS_REFUSED.emit(reason=reason)
    record(connection, [Access(app=app, channel="fhir", outcome="refused", reason=reason, request=request)])


def _invalid_token() -> Refusal:
    challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    return Refusal(401, "the access token is not valid here, or its time is over: get a new one", headers=challenge)
