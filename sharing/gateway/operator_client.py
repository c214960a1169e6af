"""A client of the operator's API, for commands."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from contracts.errors import AgoraError, Unavailable
from sharing.gateway.models import AcknowledgementTaken, Alert, Alerts
from sharing.gateway.settings import OperatorClientSettings

ANSWER_SECONDS = 10.0


class NotDone(AgoraError):
    """The gateway refused; the words say why."""


class OperatorClient:
    """Calls the gateway as the operator; use it in a ``with``.

    Args:
        settings: where the gateway is and how to trust it.
    """

    def __init__(self, settings: OperatorClientSettings) -> None:
        trust = ssl.create_default_context(cafile=settings.ca_file or None)
        self._client = httpx.Client(
            base_url=settings.gateway_public_url,
            verify=trust,
            trust_env=False,
            timeout=ANSWER_SECONDS,
            headers={"Authorization": f"Bearer {settings.gateway_operator_token.get_secret_value()}"},
        )

    def __enter__(self) -> Self:
        """Nothing is connected yet."""
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        """Close the connection."""
        self._client.close()

    def alerts(self, subject: str | None, only_open: bool, limit: int) -> tuple[Alert, ...]:
        """List alerts, the newest onset first.

        Args:
            subject: only this one's, or None.
            only_open: leave out what is resolved.
            limit: how many at most, 1 to 1000.

        Raises:
            Unavailable: the gateway does not answer.
            NotDone: it refused.
        """
        parameters: dict[str, Any] = {"open": only_open, "limit": limit} | ({"subject": subject} if subject else {})
        return Alerts.model_validate_json(self._call("GET", "/api/v1/alerts", params=parameters)).alerts

    def acknowledge(self, alert: str, by: str, note: str) -> AcknowledgementTaken:
        """Take an alert in hand.

        Args:
            alert: its id.
            by: who does.
            note: at most 500 characters.

        Raises:
            Unavailable: the gateway, or Kafka behind it, does not answer.
            NotDone: there is no such open alert.
        """
        body = {"by": by, "note": note}
        return AcknowledgementTaken.model_validate_json(self._call("POST", f"/api/v1/alerts/{alert}/acknowledge", json=body))

    def _call(self, method: str, path: str, **arguments: Any) -> bytes:
        try:
            answer = self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise Unavailable("the gateway does not answer; is it running? (agora status)") from error
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise Unavailable(_words(answer))
        if not answer.is_success:
            raise NotDone(_words(answer))
        return answer.content


def _words(answer: httpx.Response) -> str:
    try:
        body: Mapping[str, Any] = answer.json()
        return str(body["title"])
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {answer.status_code}"
