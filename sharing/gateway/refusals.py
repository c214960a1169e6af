"""How the gateway says no: one exception, written as the path's protocol wants it (FHIR, OAuth 2, problem details)."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from contracts.errors import AgoraError
from sharing.fhir.outcome import Issue, operation_outcome

FHIR_PATH = "/fhir"
OAUTH_PATH = "/oauth"
FHIR_JSON = "application/fhir+json"
RETRY_SECONDS = 1
_ISSUES = {
    400: Issue.INVALID,
    401: Issue.LOGIN,
    403: Issue.FORBIDDEN,
    404: Issue.NOT_FOUND,
    405: Issue.NOT_SUPPORTED,
    406: Issue.NOT_SUPPORTED,
    429: Issue.THROTTLED,
    503: Issue.TRANSIENT,
}
_WORDS = {404: "there is nothing here", 405: "this method is not taken here", 413: "the request is too large"}


class Refusal(AgoraError):
    """A request is answered with an error.

    Args:
        status: HTTP status.
        words: for the developer of a client; never a value, a secret or what the client wrote.
        issue: FHIR's code, if not the usual one of the status.
        error: OAuth's code, for the token endpoint.
        headers: to send beside.
    """

    def __init__(
        self, status: int, words: str, issue: Issue | None = None, error: str = "invalid_request",
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.status = status
        self.words = words
        self.issue = issue or _ISSUES.get(status, Issue.EXCEPTION)
        self.error = error
        self.headers = dict(headers or {})
        super().__init__(words)


def unavailable() -> Refusal:
    """Say that something we need does not answer just now."""
    later = {"Retry-After": str(RETRY_SECONDS)}
    return Refusal(503, "not possible just now, try again", error="temporarily_unavailable", headers=later)


def too_many(wait_seconds: float) -> Refusal:
    """Say that somebody asks more often than they may.

    Args:
        wait_seconds: until they may again, above 0.
    """
    later = {"Retry-After": str(ceil(wait_seconds))}
    return Refusal(429, "too many requests: wait as long as Retry-After says", error="slow_down", headers=later)


def render(path: str, refusal: Refusal) -> Response:
    """Write a refusal as the path's clients expect it."""
    body: dict[str, Any]
    if path.startswith(FHIR_PATH):
        body, media_type = operation_outcome(refusal.issue, refusal.words), FHIR_JSON
    elif path.startswith(OAUTH_PATH):
        body, media_type = {"error": refusal.error, "error_description": refusal.words}, "application/json"
    else:
        body, media_type = {"status": refusal.status, "title": refusal.words}, "application/problem+json"
    return Response(orjson.dumps(body), refusal.status, refusal.headers, media_type)


def on_refusal(request: Request, error: Exception) -> Response:
    """Answer a request that was refused."""
    assert isinstance(error, Refusal)
    return render(request.url.path, error)


def on_http_error(request: Request, error: Exception) -> Response:
    """Answer a request for which there is no route or method."""
    assert isinstance(error, HTTPException)
    words = _WORDS.get(error.status_code, "the request cannot be read")
    return render(request.url.path, Refusal(error.status_code, words, headers=error.headers))


def on_invalid(request: Request, error: Exception) -> Response:
    """Answer a request whose body or parameters are wrong: where and in which way, never with what was sent."""
    assert isinstance(error, RequestValidationError)
    problems = "; ".join(f"{_place(problem['loc'])}: {problem['type'].replace('_', ' ')}" for problem in error.errors()[:5])
    return render(request.url.path, Refusal(422, problems))


def _place(location: tuple[Any, ...]) -> str:
    return ".".join(part if isinstance(part, int | str) and str(part).isidentifier() else "…" for part in map(str, location))[:64]
