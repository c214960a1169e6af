"""OAuth 2 client credentials (RFC 6749, section 4.4), with the scopes of SMART App Launch 2 and the access tokens of RFC 9068."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from contracts.errors import AgoraError, Misconfigured
from contracts.instants import SECOND

ALGORITHM = "ES256"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - the media type of RFC 9068, not a secret
RESOURCES = ("Observation", "Patient")
SCOPES_SUPPORTED = tuple(f"system/{resource}.rs" for resource in RESOURCES)
_SCOPE = re.compile(r"system/(Observation|Patient|\*)\.(r|s|rs|read)")
_MEANING = {"r": "r", "s": "s", "rs": "rs", "read": "rs"}


class TokenRefused(AgoraError):
    """An access token is not ours, is over, or is for somebody else."""


class ScopeRefused(AgoraError):
    """No scope that was asked for can be given."""


@dataclass(frozen=True)
class Access:
    """What a valid access token says.

    Attributes:
        app: the app it was given to.
        scopes: what it may do, canonical.
    """

    app: str
    scopes: tuple[str, ...]

    def allows(self, resource: str, interaction: str) -> bool:
        """Tell whether a scope covers an interaction.

        Args:
            resource: FHIR resource type.
            interaction: ``r`` to read by id, ``s`` to search.
        """
        return any(scope.startswith(f"system/{resource}.") and interaction in scope.rpartition(".")[2] for scope in self.scopes)


def granted_scopes(asked: str) -> tuple[str, ...]:
    """Decide which scopes a client gets; the same for every app, since consent decides on each record.

    Args:
        asked: scopes separated by spaces, as in ``system/Observation.rs``; empty asks for all.

    Returns:
        Canonical scopes, sorted; those we do not know are left out, as RFC 6749, section 3.3, allows.

    Raises:
        ScopeRefused: when none remains.
    """
    letters: dict[str, set[str]] = {}
    for word in asked.split() or SCOPES_SUPPORTED:
        found = _SCOPE.fullmatch(word)
        if found:
            for resource in RESOURCES if found[1] == "*" else (found[1],):
                letters.setdefault(resource, set()).update(_MEANING[found[2]])
    if not letters:
        raise ScopeRefused(f"none of the scopes can be given; there are {' '.join(SCOPES_SUPPORTED)}")
    return tuple(f"system/{resource}.{''.join(sorted(letters[resource]))}" for resource in sorted(letters))


class TokenAuthority:
    """Signs access tokens and checks them.

    Args:
        key_pem: EC P-256 private key.
        issuer: our public address.
        audience: what tokens are for: the address of the FHIR endpoint.
        seconds: life of a token.
    """

    def __init__(self, key_pem: bytes, issuer: str, audience: str, seconds: int) -> None:
        try:
            self._key = ECKey.import_key(key_pem, {"use": "sig", "alg": ALGORITHM})
        except (JoseError, ValueError):
            raise Misconfigured("AGORA_GATEWAY_TOKEN_KEY_FILE does not hold an EC private key") from None
        if not self._key.is_private or self._key.curve_name != "P-256":
            raise Misconfigured("AGORA_GATEWAY_TOKEN_KEY_FILE must hold a private key on the curve P-256")
        self._key.ensure_kid()
        self._keys = KeySet([self._key])
        self._issuer = issuer
        self._audience = audience
        self.seconds = seconds

    def issue(self, app: str, client_id: str, scopes: Iterable[str], now: int) -> str:
        """Sign a token.

        Args:
            app: whom it names.
            client_id: the client that asked.
            scopes: what it may do.
            now: the present, microseconds.

        Returns:
            A compact JWS.
        """
        issued = now // SECOND
        claims: dict[str, Any] = {
            "iss": self._issuer, "aud": self._audience, "sub": app, "client_id": client_id, "scope": " ".join(scopes),
            "iat": issued, "exp": issued + self.seconds, "jti": str(uuid4()),
        }  # fmt: skip
        return jwt.encode({"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": self._key.kid}, claims, self._key, algorithms=[ALGORITHM])

    def read(self, token: str, now: int) -> Access:
        """Check a token.

        Args:
            token: as it came.
            now: the present, microseconds.

        Returns:
            What it says.

        Raises:
            TokenRefused: forged, over, for another audience, of another kind, or no token at all.
        """
        registry = jwt.JWTClaimsRegistry(
            now=now // SECOND,
            leeway=0,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            sub={"essential": True},
            exp={"essential": True},
            scope={"essential": True},
        )
        try:
            decoded = jwt.decode(token, self._keys, algorithms=[ALGORITHM])
            registry.validate(decoded.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise TokenRefused(type(error).__name__) from None
        app, scope = decoded.claims["sub"], decoded.claims["scope"]
        if decoded.header.get("typ") != TOKEN_TYPE or not isinstance(app, str) or not isinstance(scope, str):
            raise TokenRefused("another kind of token")
        return Access(app, tuple(scope.split()))

    def public_keys(self) -> Mapping[str, Any]:
        """Give the JWK set with which anyone can check our tokens."""
        return self._keys.as_dict(private=False)
