"""Access tokens: who gets one, and which are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from contracts.instants import SECOND
from deploy.local.stack import Stack
from runtime.clock import now
from sharing.oauth import SCOPES_SUPPORTED, TokenAuthority
from tests.support.gateway_world import SECRET, World, bearer, token_of

Owner = psycopg.Connection[Any]
GRANT = {"grant_type": "client_credentials"}


def authority(stack: Stack, audience: str | None = None) -> TokenAuthority:
    """Sign with the gateway's own key."""
    settings = stack.settings("gateway")
    url = settings["AGORA_GATEWAY_PUBLIC_URL"]
    return TokenAuthority(Path(settings["AGORA_GATEWAY_TOKEN_KEY_FILE"]).read_bytes(), url, audience or f"{url}/fhir", 300)


def test_a_secret_is_taken_in_the_header_and_in_the_form(world: World, client: httpx.Client) -> None:
    app = world.app()
    by_header = client.post("/oauth/token", data=GRANT, auth=(f"client-{app}", SECRET))
    by_form = client.post("/oauth/token", data=GRANT | {"client_id": f"client-{app}", "client_secret": SECRET})

    for answer in (by_header, by_form):
        assert answer.status_code == 200
        body = answer.json()
        assert (body["token_type"], body["expires_in"]) == ("Bearer", 300)
        assert body["scope"] == "system/Observation.rs system/Patient.rs"
        assert answer.headers["cache-control"] == "no-store"


def test_a_wrong_secret_an_unknown_client_and_a_revoked_app_get_the_same_answer_and_are_logged(
    world: World, client: httpx.Client, owner: Owner
) -> None:
    app, revoked = world.app(), world.app()
    world.revoke(revoked)
    unknown_before = owner.execute("SELECT count(*) FROM access_log WHERE reason = 'unknown client'").fetchone()

    answers = [
        client.post("/oauth/token", data=GRANT, auth=credentials)
        for credentials in ((f"client-{app}", "wrong"), ("client-of-nobody", SECRET), (f"client-{revoked}", SECRET))
    ]

    assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}
    assert answers[0].json()["error"] == "invalid_client"
    assert "Basic" in answers[0].headers["www-authenticate"]
    logged = [
        (access["channel"], access["outcome"], access["reason"]) for name in (app, revoked) for access in world.accesses(name)
    ]
    assert logged == [("token", "refused", "wrong secret"), ("token", "refused", "app revoked")]
    unknown_after = owner.execute("SELECT count(*) FROM access_log WHERE reason = 'unknown client'").fetchone()
    assert unknown_before
    assert unknown_after == (unknown_before[0] + 1,)


def test_who_guesses_must_wait_even_with_the_right_secret(world: World, client: httpx.Client) -> None:
    app, other = world.app(), world.app()
    for _ in range(5):
        assert client.post("/oauth/token", data=GRANT, auth=(f"client-{app}", "guess")).status_code == 401

    held = client.post("/oauth/token", data=GRANT, auth=(f"client-{app}", SECRET))

    assert held.status_code == 429
    assert 0 < int(held.headers["retry-after"]) <= 61
    assert world.accesses(app)[-1]["reason"] == "too many failures"
    assert token_of(client, other)


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "unsupported_grant_type"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        (GRANT | {"scope": "patient/Observation.rs"}, "invalid_scope"),
    ],
)
def test_another_grant_or_scope_is_refused_as_oauth_says(
    world: World, client: httpx.Client, form: dict[str, str], error: str
) -> None:
    answer = client.post("/oauth/token", data=form, auth=(f"client-{world.app()}", SECRET))

    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_tokens_that_are_not_ours_or_over_are_refused(world: World, client: httpx.Client, gateway: Stack) -> None:
    app = world.app()
    right, issue = token_of(client, app), authority(gateway).issue
    head, claims, signature = right.split(".")
    wrong = {
        "no token": "abc",
        "over": issue(app, "client", SCOPES_SUPPORTED, now() - 301 * SECOND),
        "for another": authority(gateway, "https://other.example/fhir").issue(app, "client", SCOPES_SUPPORTED, now()),
        "unsigned": f"{head}.{claims}.",
        "cut": f"{head}.{claims}.{signature[:-8]}",
        "of an unknown app": issue("nobody-at-all", "client", SCOPES_SUPPORTED, now()),
    }

    answers = {kind: client.get("/fhir/Patient", headers=bearer(token)) for kind, token in wrong.items()}

    assert {kind: answer.status_code for kind, answer in answers.items()} == dict.fromkeys(wrong, 401)
    for answer in answers.values():
        assert answer.json()["issue"][0]["code"] == "login"
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert client.get("/fhir/Patient", headers=bearer(issue(app, "client", SCOPES_SUPPORTED, now()))).status_code == 200


def test_a_revoked_app_is_refused_at_once_though_its_token_is_good(world: World, client: httpx.Client) -> None:
    app = world.app()
    headers = bearer(token_of(client, app))
    assert client.get("/fhir/Patient", headers=headers).status_code == 200

    world.revoke(app)

    assert client.get("/fhir/Patient", headers=headers).status_code == 401
    assert world.accesses(app)[-1]["reason"] == "app revoked"


def test_a_token_reaches_no_further_than_its_scope(world: World, client: httpx.Client) -> None:
    app = world.app()
    headers = bearer(token_of(client, app, "system/Patient.s"))

    answers = [client.get(path, headers=headers) for path in ("/fhir/Observation?patient=x", "/fhir/Patient/x")]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].json()["issue"][0]["code"] == "forbidden"
    assert "insufficient_scope" in answers[0].headers["www-authenticate"]
    assert client.get("/fhir/Patient", headers=headers).status_code == 200
    assert {access["reason"] for access in world.accesses(app)} == {"scope too narrow"}
