"""Access tokens, scopes, client credentials and the throttle."""

from __future__ import annotations

import hmac
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import ECKey

from contracts.errors import Misconfigured
from contracts.instants import MINUTE, SECOND
from sharing.gateway.throttle import MOST_FAILURES, FailureThrottle
from sharing.gateway.tokens import CredentialsMissing, read_credentials
from sharing.oauth import Access, ScopeRefused, TokenAuthority, TokenRefused, granted_scopes

NOW = 1_795_348_800 * SECOND
ISSUER = "https://agora.example"
AUDIENCE = "https://agora.example/fhir"
SCOPES = ("system/Observation.rs",)


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


KEY = pem(ec.generate_private_key(ec.SECP256R1()))
AUTHORITY = TokenAuthority(KEY, ISSUER, AUDIENCE, 300)


def issued() -> str:
    return AUTHORITY.issue("app", "client", SCOPES, NOW)


def forged(header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Sign a token with our own key that differs from a right one in one thing."""
    key = ECKey.import_key(KEY)
    content = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return jwt.encode({"alg": "ES256", "typ": "at+jwt"} | (header or {}), content, key, algorithms=["ES256"])


def test_a_token_tells_who_may_do_what() -> None:
    assert AUTHORITY.read(issued(), NOW) == Access("app", SCOPES)
    assert AUTHORITY.read(forged(), NOW) == Access("app", SCOPES)


def test_a_token_ends_after_five_minutes() -> None:
    assert AUTHORITY.read(issued(), NOW + 299 * SECOND)
    with pytest.raises(TokenRefused):
        AUTHORITY.read(issued(), NOW + 301 * SECOND)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "https://other.example/fhir"},
        {"aud": ISSUER},
        {"aud": None},
        {"exp": None},
        {"exp": NOW // SECOND - 1},
        {"exp": "soon"},
        {"sub": None},
        {"sub": 7},
        {"scope": None},
        {"scope": ["system/Observation.rs"]},
        {"nbf": NOW // SECOND + 60},
    ],
)
def test_a_token_with_another_claim_is_refused_though_our_key_signed_it(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        AUTHORITY.read(forged(**claims), NOW)


def test_a_token_of_another_kind_is_refused() -> None:
    with pytest.raises(TokenRefused):
        AUTHORITY.read(forged({"typ": "JWT"}), NOW)


def test_a_token_signed_by_another_key_is_refused() -> None:
    other = TokenAuthority(pem(ec.generate_private_key(ec.SECP256R1())), ISSUER, AUDIENCE, 300)

    with pytest.raises(TokenRefused):
        AUTHORITY.read(other.issue("app", "client", SCOPES, NOW), NOW)


def part(value: dict[str, Any]) -> str:
    return urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "app", "scope": SCOPES[0], "exp": NOW // SECOND + 300}


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_a_token_without_signature_is_refused(algorithm: str) -> None:
    with pytest.raises(TokenRefused):
        AUTHORITY.read(f"{part({'alg': algorithm, 'typ': 'at+jwt'})}.{part(CLAIMS)}.", NOW)


def test_the_public_key_cannot_be_used_as_a_shared_secret() -> None:
    public = ECKey.import_key(KEY).as_pem(private=False)
    text = f"{part({'alg': 'HS256', 'typ': 'at+jwt'})}.{part(CLAIMS)}"
    signature = urlsafe_b64encode(hmac.digest(public, text.encode(), "sha256")).rstrip(b"=").decode()

    with pytest.raises(TokenRefused):
        AUTHORITY.read(f"{text}.{signature}", NOW)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "ü", "x" * 5000, "e30.e30.e30"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(TokenRefused):
        AUTHORITY.read(token, NOW)


def test_a_changed_token_is_refused() -> None:
    head, claims, signature = issued().split(".")
    other = AUTHORITY.issue("other", "client", SCOPES, NOW).split(".")[1]

    with pytest.raises(TokenRefused):
        AUTHORITY.read(f"{head}.{other}.{signature}", NOW)
    assert AUTHORITY.read(f"{head}.{claims}.{signature}", NOW)


def test_the_public_keys_hold_no_private_part() -> None:
    (key,) = AUTHORITY.public_keys()["keys"]

    assert (key["kty"], key["crv"], key["alg"]) == ("EC", "P-256", "ES256")
    assert "d" not in key


@pytest.mark.parametrize(
    "key", [b"", b"nothing", pem(ec.generate_private_key(ec.SECP384R1())), pem(rsa.generate_private_key(65537, 2048))]
)
def test_another_kind_of_key_stops_the_start(key: bytes) -> None:
    with pytest.raises(Misconfigured, match="AGORA_GATEWAY_TOKEN_KEY_FILE"):
        TokenAuthority(key, ISSUER, AUDIENCE, 300)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("", ("system/Observation.rs", "system/Patient.rs")),
        ("system/Observation.rs", ("system/Observation.rs",)),
        ("system/Observation.s system/Observation.r", ("system/Observation.rs",)),
        ("system/Patient.read openid", ("system/Patient.rs",)),
        ("system/*.s", ("system/Observation.s", "system/Patient.s")),
    ],
)
def test_scopes_are_given_in_one_form(asked: str, given: tuple[str, ...]) -> None:
    assert granted_scopes(asked) == given


@pytest.mark.parametrize(
    "asked", ["openid", "patient/Observation.rs", "system/Observation.cruds", "system/Condition.rs", "system/Observation"]
)
def test_a_scope_that_cannot_be_given_alone_is_refused(asked: str) -> None:
    with pytest.raises(ScopeRefused):
        granted_scopes(asked)


def test_a_scope_allows_its_resource_and_interaction_only() -> None:
    access = Access("app", ("system/Observation.s", "system/Patient.r"))

    assert access.allows("Observation", "s")
    assert access.allows("Patient", "r")
    assert not access.allows("Observation", "r")
    assert not access.allows("Patient", "s")


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


def test_credentials_come_in_the_header_or_in_the_form() -> None:
    assert read_credentials(basic("client:secret"), "", "") == ("client", "secret")
    assert read_credentials(basic("cli%3Aent:se%2Bc+ret"), "", "") == ("cli:ent", "se+c ret")
    assert read_credentials("", "client", "secret") == ("client", "secret")


@pytest.mark.parametrize(
    ("header", "client_id", "secret"),
    [
        ("", "", ""),
        ("", "client", ""),
        ("", "", "secret"),
        (basic("client:secret"), "", "secret"),
        ("Bearer x", "", ""),
        ("Basic not-base64!", "", ""),
        (basic("without-a-colon"), "", ""),
        (basic(":secret"), "", ""),
        ("Basic " + b64encode(b"\xff\xfe:x").decode(), "", ""),
    ],
)
def test_credentials_in_no_way_or_in_two_are_refused(header: str, client_id: str, secret: str) -> None:
    with pytest.raises(CredentialsMissing):
        read_credentials(header, client_id, secret)


def test_after_five_failures_a_client_waits_a_minute() -> None:
    throttle = FailureThrottle()
    client = ("client", "127.0.0.1")
    for number in range(MOST_FAILURES):
        assert throttle.wait_seconds(client, NOW + number) == 0
        throttle.failed(client, NOW + number)

    assert throttle.wait_seconds(client, NOW + SECOND) == 60
    assert throttle.wait_seconds(client, NOW + MINUTE - SECOND) in (1, 2)
    assert throttle.wait_seconds(client, NOW + MINUTE + SECOND) == 0


def test_another_address_of_the_same_client_need_not_wait() -> None:
    throttle = FailureThrottle()
    for _ in range(MOST_FAILURES):
        throttle.failed(("client", "10.0.0.1"), NOW)

    assert throttle.wait_seconds(("client", "10.0.0.1"), NOW) > 0
    assert throttle.wait_seconds(("client", "10.0.0.2"), NOW) == 0
