"""The gateway as somebody finds it who means harm: no token, a made-up one, another's, and words that are more than words."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from contracts.instants import SECOND
from deploy.local.stack import Stack
from runtime.clock import now
from sharing.oauth import SCOPES_SUPPORTED, TokenAuthority
from tests.support.gateway_world import NOON, SECRET, World, bearer, found, operator_headers, outcome, token_of

Owner = psycopg.Connection[Any]
PUBLIC = {"/oauth/token", "/oauth/jwks", "/.well-known/smart-configuration", "/fhir/metadata", "/healthz"}
"""What answers to anybody: how to come in, the keys to check tokens with, what the endpoint can, and whether it lives."""
WORDS = {
    "quotes": "x' OR '1'='1",
    "statement": "x'; DROP TABLE observations; --",
    "double quotes": 'x" OR ""="',
    "a percent sign": "%(app)s %s %",
    "backslash": "\\'; SELECT pg_sleep(9); --",
    "a new line": 'x\n{"event": "sharing.forged_line", "level": "info"}',
    "a return": "x\rsharing.forged_line",
    "an escape sequence": "\x1b[2J\x1b]0;sharing.forged_line\x07",
    "writing turned round": "\u202esharing.forged_line",
}


def part(content: object) -> str:
    return urlsafe_b64encode(orjson.dumps(content)).rstrip(b"=").decode()


def own_key(stack: Stack) -> bytes:
    return Path(stack.settings("gateway")["AGORA_GATEWAY_TOKEN_KEY_FILE"]).read_bytes()


def authority(stack: Stack, key: bytes) -> TokenAuthority:
    url = stack.settings("gateway")["AGORA_GATEWAY_PUBLIC_URL"]
    return TokenAuthority(key, url, f"{url}/fhir", 300)


def test_nothing_but_the_way_in_answers_without_a_token(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()["paths"]
    asked = [(method, path) for path, methods in described.items() for method in methods if path not in PUBLIC]

    answers = {(method, path): client.request(method, path.replace("{", "").replace("}", "")) for method, path in asked}

    assert {key: answer.status_code for key, answer in answers.items()} == dict.fromkeys(asked, 401)
    assert len(asked) >= 8


def test_a_forged_or_widened_token_opens_nothing(world: World, client: httpx.Client, gateway: Stack) -> None:
    app, other = world.app(), world.app()
    narrow = token_of(client, app, "system/Patient.s")
    head, claims, signature = narrow.split(".")
    said = orjson.loads(urlsafe_b64decode(claims + "=="))
    widened = said | {"scope": "system/Observation.rs system/Patient.rs"}
    public = serialization.load_pem_private_key(own_key(gateway), None).public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    shared = f"{part({'alg': 'HS256', 'typ': 'at+jwt'})}.{part(widened)}"
    mac = urlsafe_b64encode(hmac.digest(public, shared.encode(), "sha256")).rstrip(b"=").decode()
    stranger = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    own = orjson.loads(urlsafe_b64decode(head + "=="))
    wrong = {
        "a wider scope": f"{head}.{part(widened)}.{signature}",
        "a longer life": f"{head}.{part(said | {'exp': said['exp'] + 86400})}.{signature}",
        "another app": f"{head}.{part(said | {'sub': other})}.{signature}",
        "signed by a stranger": authority(gateway, stranger).issue(app, "client", SCOPES_SUPPORTED, now()),
        "without a signature": f"{part(own | {'alg': 'none'})}.{part(widened)}.",
        "the public key as a secret": f"{shared}.{mac}",
        "the stranger's own key in its head": f"{part(own | {'jwk': {'kty': 'EC'}, 'jku': 'https://x.example'})}.{claims}.{signature}",
    }

    answers = {kind: client.get("/fhir/Patient", headers=bearer(token)).status_code for kind, token in wrong.items()}

    assert answers == dict.fromkeys(wrong, 401)
    assert client.get("/fhir/Patient", headers=bearer(narrow)).status_code == 200


def test_a_token_used_again_after_its_time_its_app_or_at_another_door_opens_nothing(
    world: World, client: httpx.Client, gateway: Stack
) -> None:
    app, leaving = world.app(), world.app()
    token, left = token_of(client, app), token_of(client, leaving)
    old = authority(gateway, own_key(gateway)).issue(app, "client", SCOPES_SUPPORTED, now() - 301 * SECOND)
    world.revoke(leaving)

    assert client.get("/fhir/Patient", headers=bearer(old)).status_code == 401
    assert client.get("/fhir/Patient", headers=bearer(left)).status_code == 401
    assert client.get("/api/v1/consents", headers=bearer(token)).status_code == 401
    assert client.get("/fhir/Patient", headers=operator_headers(gateway)).status_code == 401
    assert client.get("/fhir/Patient", params={"access_token": token}).status_code == 401
    assert client.get("/fhir/Patient", headers={"Authorization": f"Basic {token}"}).status_code == 401


def test_the_ids_of_others_find_nothing(world: World, client: httpx.Client) -> None:
    subject, app, other, device = world.subject(), world.app(), world.app(), world.device()
    world.consent(subject, other, "8867-4")
    world.reading(subject, device, "8867-4", 71.0)
    headers = bearer(token_of(client, app))

    for named in (world.pseudonym(other, subject), world.pseudonym(app, subject), subject, f"Patient/{subject}", device):
        assert found(client.get("/fhir/Observation", params={"patient": named.removeprefix("Patient/")}, headers=headers)) == []
        assert found(client.get("/fhir/Patient", params={"_id": named}, headers=headers)) == []
        assert client.get(f"/fhir/Patient/{named}", headers=headers).status_code == 404
    assert {access["outcome"] for access in world.accesses(app)} <= {"refused", "released", "empty"}
    assert sum(access["readings"] for access in world.accesses(app)) == 0


@pytest.mark.parametrize("kind", WORDS)
def test_words_that_are_more_than_words_are_taken_as_words(
    world: World, client: httpx.Client, gateway: Stack, owner: Owner, kind: str
) -> None:
    subject, app, device = world.subject(), world.app(), world.device()
    world.consent(subject, app, "8867-4")
    world.reading(subject, device, "8867-4", 71.0, NOON)
    headers, patient, words = bearer(token_of(client, app)), world.pseudonym(app, subject), WORDS[kind]
    log = gateway.instance.logs / "gateway.log"
    before = log.stat().st_size

    answers = [
        client.get("/fhir/Observation", params={"patient": patient} | {name: words}, headers=headers)
        for name in ("patient", "code", "date", "_count", "_sort", "_cursor", "category", words)
    ]
    answers += [client.get("/fhir/Patient", params={name: words}, headers=headers) for name in ("_id", "_cursor", words)]
    answers.append(client.get(f"/fhir/Patient/{quote(words, safe='')}", headers=headers))
    answers.append(
        client.post("/oauth/token", data={"grant_type": "client_credentials", "client_id": words, "client_secret": words})
    )
    answers.append(client.get("/api/v1/access-log", params={"app": words, "subject": words}, headers=operator_headers(gateway)))

    assert {answer.status_code for answer in answers} <= {200, 400, 401, 404, 422}
    assert not any("valueQuantity" in answer.text for answer in answers)
    assert owner.execute(
        "SELECT count(*) FROM access_log WHERE app LIKE '%%forged%%' OR subject LIKE '%%forged%%'"
    ).fetchone() == (0,)
    with log.open("rb") as file:
        file.seek(before)
        written = file.read()
    assert b"forged_line" not in written
    assert all(isinstance(orjson.loads(line), dict) for line in written.splitlines()), "each line is an event of ours, whole"
    assert found(client.get("/fhir/Observation", params={"patient": patient}, headers=headers))


def test_a_cursor_of_another_app_or_changed_in_one_place_is_refused(world: World, client: httpx.Client) -> None:
    subject, app, other, device = world.subject(), world.app(), world.app(), world.device()
    for name in (app, other):
        world.consent(subject, name, "8867-4")
    for number in range(3):
        world.reading(subject, device, "8867-4", 70.0, NOON + number)
    headers, of_other = bearer(token_of(client, app)), bearer(token_of(client, other))
    asked: dict[str, str | int] = {"patient": world.pseudonym(app, subject), "_count": 1}
    first = client.get("/fhir/Observation", params=asked, headers=headers)
    (following,) = [httpx.URL(link["url"]) for link in first.json()["link"] if link["relation"] == "next"]
    cursor = following.params["_cursor"]

    mine: dict[str, str | int] = {"patient": world.pseudonym(other, subject), "_count": 1, "_cursor": cursor}
    assert client.get("/fhir/Observation", params=mine, headers=of_other).status_code == 400
    for place in range(0, len(cursor), 7):
        changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        answer = client.get("/fhir/Observation", params=asked | {"_cursor": changed}, headers=headers)
        assert (answer.status_code, outcome(answer)) == (400, "invalid"), place
    assert SECRET not in first.text
