"""What holds for every request: its id, the size of its body, security headers, one event, and no error that tells too much."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from uuid import uuid4

from psycopg import OperationalError
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from contracts.errors import Unavailable
from sharing.gateway import events
from sharing.gateway.refusals import Refusal, render, unavailable

MOST_BODY_BYTES = 64 * 1024
SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


class RequestRoom:
    """The outermost layer around the application.

    Args:
        application: what answers.
    """

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection's request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        request_id = str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        with bound_contextvars(request=request_id):
            await _Exchange(self._application, scope, receive, send, request_id).run()


class _Exchange:
    """One request and its answer."""

    def __init__(self, application: ASGIApp, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self._application = application
        self._scope = scope
        self._receive = receive
        self._send = send
        self._own_headers = (*SECURITY_HEADERS, (b"x-request-id", request_id.encode()))
        self._status = 0
        self._body_bytes = 0

    async def run(self) -> None:
        began = perf_counter()
        try:
            self._check_announced_size()
            await self._application(self._scope, self._bounded_receive, self._watched_send)
        except Refusal as refusal:
            await self._answer(refusal)
        except (OperationalError, Unavailable):
            events.DEPENDENCY_MISSED.emit(dependency="database")
            await self._answer(unavailable())
        except Exception as error:
            events.REQUEST_FAILED.emit(route=self._route(), reason=type(error).__name__)
            await self._answer(Refusal(500, "an error of ours; the request id helps to find it", error="server_error"))
        seconds = perf_counter() - began
        events.REQUEST_SECONDS.labels(self._route()).observe(seconds)
        events.REQUEST_ANSWERED.emit(route=self._route(), status=self._status, milliseconds=round(seconds * 1000, 1))

    def _route(self) -> str:
        """Give the pattern of the route, since the path itself can name a person."""
        return getattr(self._scope.get("route"), "path", "none")

    def _check_announced_size(self) -> None:
        headers: Iterable[tuple[bytes, bytes]] = self._scope["headers"]
        length = next((value for name, value in headers if name == b"content-length"), b"0")
        if not length.isdigit() or int(length) > MOST_BODY_BYTES:
            raise Refusal(413, "the request is too large")

    async def _bounded_receive(self) -> Message:
        message = await self._receive()
        self._body_bytes += len(message.get("body", b""))
        if self._body_bytes > MOST_BODY_BYTES:
            raise Refusal(413, "the request is too large")
        return message

    async def _watched_send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._own_headers]}
        await self._send(message)

    async def _answer(self, refusal: Refusal) -> None:
        if self._status == 0:
            await render(self._scope["path"], refusal)(self._scope, self._receive, self._watched_send)
