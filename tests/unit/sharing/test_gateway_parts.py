"""The gateway's settings, its webhook's signature, and how it tells errors."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from hashlib import sha256

import orjson
import pytest
from pydantic import SecretStr, ValidationError

from contracts.alerts import AlertTransition, Severity, Transition
from contracts.instants import SECOND
from sharing.gateway.refusals import Refusal, render
from sharing.gateway.settings import GatewaySettings, webhook_key
from sharing.gateway.webhook import body, headers, message_id

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + b64encode(KEY).decode()
NOW = 1_795_348_800 * SECOND
TRANSITION = AlertTransition(
    alert="0192f0aa-0000-8000-8000-000000000001", org="clinic", subject="p-1", rule="hr-high", rule_version=1, vital="8867-4",
    transition=Transition.RAISED, severity=Severity.CRITICAL, at=NOW, onset=NOW, number=1, value=141.0, unit="/min",
    received_at=NOW,
)  # fmt: skip


def settings(**changed: object) -> GatewaySettings:
    given: dict[str, object] = {
        "port": 8443, "certificate_file": "c", "key_file": "k", "token_key_file": "t", "public_url": "https://agora.example",
        "operator_token": "o" * 32,
    }  # fmt: skip
    return GatewaySettings.model_validate(given | changed)


def test_a_webhook_is_off_unless_an_address_is_given() -> None:
    assert settings().webhook_url == ""


@pytest.mark.parametrize(
    "url", ["https://clinic.example/alerts", "http://localhost:9000/", "http://127.0.0.1/x", "http://[::1]:1/"]
)
def test_a_webhook_goes_by_https_or_stays_on_this_machine(url: str) -> None:
    assert settings(webhook_url=url, webhook_secret=SECRET).webhook_url == url


@pytest.mark.parametrize("url", ["http://clinic.example/alerts", "ftp://localhost/", "localhost", "http://localhost.example/"])
def test_a_webhook_in_clear_to_elsewhere_stops_the_start(url: str) -> None:
    with pytest.raises(ValidationError, match="AGORA_GATEWAY_WEBHOOK_URL"):
        settings(webhook_url=url, webhook_secret=SECRET)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", b64encode(KEY).decode(), "whsec_!!!" + "A" * 40])
def test_a_webhook_without_a_real_secret_stops_the_start(secret: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(webhook_url="https://clinic.example/", webhook_secret=secret)

    assert len(secret) < 8 or all(secret not in str(problem["msg"]) for problem in caught.value.errors())


@pytest.mark.parametrize(
    "changed", [{"public_url": "http://agora.example"}, {"public_url": "https://agora.example/"}, {"operator_token": "short"}]
)
def test_settings_that_would_be_unsafe_stop_the_start(changed: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**changed)


def test_a_message_is_signed_as_standard_webhooks_says() -> None:
    content = body(TRANSITION)

    signed = headers(webhook_key(SecretStr(SECRET)), message_id(TRANSITION), content, NOW)

    version, signature = signed["webhook-signature"].split(",")
    signed_text = f"{signed['webhook-id']}.{signed['webhook-timestamp']}.".encode() + content
    assert version == "v1"
    assert b64decode(signature) == hmac.new(KEY, signed_text, sha256).digest()
    assert signed["webhook-timestamp"] == str(NOW // SECOND)


def test_a_repeated_message_has_the_same_id_and_body() -> None:
    assert message_id(TRANSITION) == f"msg_{TRANSITION.alert}_1"
    assert body(TRANSITION) == body(TRANSITION)


def test_a_message_tells_the_transition_in_words_and_rfc_3339() -> None:
    content = orjson.loads(body(TRANSITION))

    assert content["type"] == "alert.raised"
    assert content["timestamp"] == "2026-11-22T12:00:00.000000Z"
    assert content["data"]["severity"] == "critical"
    assert content["data"]["onset"] == "2026-11-22T12:00:00.000000Z"


@pytest.mark.parametrize(
    ("path", "media_type", "key"),
    [
        ("/fhir/Observation", "application/fhir+json", "resourceType"),
        ("/oauth/token", "application/json", "error"),
        ("/api/v1/consents", "application/problem+json", "title"),
        ("/nothing", "application/problem+json", "title"),
    ],
)
def test_an_error_is_told_in_the_language_of_the_path(path: str, media_type: str, key: str) -> None:
    answer = render(path, Refusal(404, "there is nothing here"))

    assert (answer.status_code, answer.media_type) == (404, media_type)
    assert key in orjson.loads(answer.body)
