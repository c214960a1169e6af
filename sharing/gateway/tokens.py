"""The token endpoint: an app's id and secret for a short-lived access token (RFC 6749, section 4.4)."""

from __future__ import annotations

import binascii
import time
from base64 import b64decode
from typing import Annotated, Any, NamedTuple
from urllib.parse import unquote_plus

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse

from contracts.errors import AgoraError
from runtime.clock import now
from sharing.client_secrets import hash_secret, make_secret, secret_matches
from sharing.gateway import events, services
from sharing.gateway.access_log import Access, record
from sharing.gateway.apps import KnownApp, app_by_client
from sharing.gateway.refusals import Refusal, too_many
from sharing.gateway.services import Services
from sharing.gateway.settings import GatewaySettings
from sharing.gateway.throttle import FailureThrottle, RequestLimit
from sharing.oauth import SCOPES_SUPPORTED, ScopeRefused, granted_scopes

HASHES_AT_ONCE = 2
"""Hashing a secret takes memory and a core on purpose; FHIR requests must not wait behind a flood of guesses."""
LONGEST_FIELD = 256
_TOKEN_ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {"description": "OAuth error", "content": {"application/json": {}}} for status in (400, 401, 422, 429, 503)
}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="agora", charset="UTF-8"'}


class ClientCredentials(NamedTuple):
    """What a client says to be who it is."""

    client_id: str
    secret: str


class CredentialsMissing(AgoraError):
    """A client gave no credentials, or gave them in two ways."""


def read_credentials(authorization: str, client_id: str, client_secret: str) -> ClientCredentials:
    """Find the client's credentials (RFC 6749, section 2.3.1).

    Args:
        authorization: the header, for ``client_secret_basic``; id and secret in it are form-encoded.
        client_id: form field, for ``client_secret_post``.
        client_secret: form field, likewise.

    Raises:
        CredentialsMissing: there are none, there are two, or they cannot be read.
    """
    if not authorization:
        if not client_id or not client_secret:
            raise CredentialsMissing("client_id and client_secret are needed, in the Authorization header or the form")
        return ClientCredentials(client_id, client_secret)
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic" or client_secret:
        raise CredentialsMissing("give client_id and client_secret in one way: Basic authentication or the form")
    try:
        user, colon, password = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user, colon, password = "", "", ""
    if not colon or not user or not password:
        raise CredentialsMissing("the Authorization header does not hold an id and a secret")
    return ClientCredentials(unquote_plus(user), unquote_plus(password))


class TokenDesk:
    """Checks credentials and gives tokens."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._clients = RequestLimit(settings.tokens_per_minute / 60, settings.burst_tokens)
        self._addresses = RequestLimit(settings.address_tokens_per_minute / 60, settings.address_burst_tokens)
        self._throttle = FailureThrottle()
        self._hashing = CapacityLimiter(HASHES_AT_ONCE)
        # Checked for unknown clients, so that the time taken does not tell which ids there are.
        self._nobody = hash_secret(make_secret())

    async def answer(self, held: Services, given: ClientCredentials, scope: str, address: str, request: str) -> dict[str, Any]:
        """Give a token.

        Raises:
            Refusal: wrong credentials, too many failures or requests, or no scope that can be given.
        """
        self._check_rate(given.client_id, address)
        client = (given.client_id, address)
        waiting = self._throttle.wait_seconds(client, now())
        app = await to_thread.run_sync(_find, held, given.client_id)
        if waiting:
            await self._refuse(held, app, "too many failures", request)
            raise Refusal(429, "too many failed attempts: wait", error="slow_down", headers={"Retry-After": str(waiting)})
        kept = app.secret_hash if app is not None else self._nobody
        matches = await to_thread.run_sync(secret_matches, given.secret, kept, limiter=self._hashing)
        if app is None or not matches or not app.active:
            self._throttle.failed(client, now())
            await self._refuse(held, app, _reason(app, matches), request)
            raise Refusal(401, "unknown client, wrong secret, or revoked", error="invalid_client", headers=_CHALLENGE)
        try:
            scopes = granted_scopes(scope)
        except ScopeRefused as refused:
            raise Refusal(400, str(refused), error="invalid_scope") from None
        events.TOKEN_ISSUED.emit(app=app.name)
        token = held.tokens.issue(app.name, app.client_id, scopes, now())
        return {"access_token": token, "token_type": "Bearer", "expires_in": held.tokens.seconds, "scope": " ".join(scopes)}

    def _check_rate(self, client_id: str, address: str) -> None:
        """Count a request before it costs a look into the database or a hash.

        By address too, since whoever names another client each time would be counted under none.
        """
        at = time.monotonic()
        wait = self._addresses.wait_seconds(address, at) or self._clients.wait_seconds(f"{client_id} {address}", at)
        if wait:
            events.TOKEN_REFUSED.emit(reason="too many requests")
            raise too_many(wait)

    async def _refuse(self, held: Services, app: KnownApp | None, reason: str, request: str) -> None:
        events.TOKEN_REFUSED.emit(reason=reason)
        access = Access(app=app.name if app else "", channel="token", outcome="refused", reason=reason, request=request)
        await to_thread.run_sync(_log, held, access)


def _reason(app: KnownApp | None, matches: bool) -> str:
    if app is None:
        return "unknown client"
    return "app revoked" if matches else "wrong secret"


def _find(held: Services, client_id: str) -> KnownApp | None:
    with held.database() as connection:
        return app_by_client(connection, client_id)


def _log(held: Services, access: Access) -> None:
    with held.database() as connection:
        record(connection, [access])


class KeySetResponse(JSONResponse):
    """A JWK set (RFC 7517)."""

    media_type = "application/jwk-set+json"


Field = Annotated[str, Form(max_length=LONGEST_FIELD, pattern=r"^[^\x00]*$")]


def router(settings: GatewaySettings) -> APIRouter:
    """Make the routes of OAuth 2 and of SMART's discovery."""
    routes = APIRouter(tags=["OAuth 2"])
    desk = TokenDesk(settings)

    @routes.post("/oauth/token", summary="Get an access token", responses=_TOKEN_ANSWERS)
    async def token(
        request: Request, grant_type: Field = "", scope: Field = "", client_id: Field = "", client_secret: Field = ""
    ) -> JSONResponse:
        if grant_type != "client_credentials":
            raise Refusal(400, "grant_type must be client_credentials", error="unsupported_grant_type")
        try:
            given = read_credentials(request.headers.get("authorization", ""), client_id, client_secret)
        except CredentialsMissing as missing:
            raise Refusal(401, str(missing), error="invalid_client", headers=_CHALLENGE) from None
        if "\x00" in given.client_id:
            raise Refusal(401, "unknown client, wrong secret, or revoked", error="invalid_client", headers=_CHALLENGE)
        address = request.client.host if request.client else ""
        answer = await desk.answer(services.of(request), given, scope, address, services.request_id(request))
        return JSONResponse(answer, headers={"Pragma": "no-cache"})

    @routes.get("/oauth/jwks", summary="The keys that sign access tokens", response_class=KeySetResponse)
    def keys(request: Request) -> KeySetResponse:
        return KeySetResponse(services.of(request).tokens.public_keys())

    @routes.get("/.well-known/smart-configuration", summary="What a client needs to know (SMART App Launch 2)")
    @routes.get("/fhir/.well-known/smart-configuration", include_in_schema=False)
    def configuration(request: Request) -> JSONResponse:
        return JSONResponse(smart_configuration(services.of(request)))

    return routes


def smart_configuration(held: Services) -> dict[str, Any]:
    """Tell clients where tokens are given and how to ask for them."""
    return {
        "issuer": held.settings.public_url,
        "jwks_uri": f"{held.settings.public_url}/oauth/jwks",
        "token_endpoint": held.token_address,
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": list(SCOPES_SUPPORTED),
        "capabilities": ["client-confidential-symmetric", "permission-v2"],
        # SMART demands the field of every server; no endpoint of ours has use for it.
        "code_challenge_methods_supported": ["S256"],
    }
