"""Secrets of apps: made at random, shown once, kept only as an Argon2id hash (RFC 9106)."""

from __future__ import annotations

import os
import secrets

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

SECRET_BYTES = 32
# OWASP's second choice (19 MiB, 2 passes): a token costs the gateway about 15 ms. The secret is random and long, so that no
# guessing is possible anyway.
_MEMORY_KIB = 19 * 1024
_PASSES = 2


def make_secret() -> str:
    """Make a secret of 256 random bits, in characters that need no quoting in a shell or URL."""
    return secrets.token_urlsafe(SECRET_BYTES)


def hash_secret(secret: str) -> str:
    """Hash a secret for keeping.

    Args:
        secret: as shown to the app's owner.

    Returns:
        The hash with its salt and costs, in PHC string form.
    """
    function = Argon2id(salt=os.urandom(16), length=32, iterations=_PASSES, lanes=1, memory_cost=_MEMORY_KIB)
    return function.derive_phc_encoded(secret.encode())


def secret_matches(secret: str, kept: str) -> bool:
    """Tell whether a secret is the one that was hashed; takes the same time either way.

    Args:
        secret: what a client gave.
        kept: what ``hash_secret`` returned.
    """
    try:
        Argon2id.verify_phc_encoded(secret.encode(), kept)
    except InvalidKey:
        return False
    return True
