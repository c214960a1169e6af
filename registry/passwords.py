"""Devices' passwords: made here, shown once, kept only as the hash that mosquitto reads."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode

ROUNDS = 101
"""mosquitto's own default. The passwords are 192 random bits, which no number of guesses finds, and the broker computes one
hash per connection and, at each reload, one per connected device: thousands of rounds would stop it for seconds.
"""
SALT_BYTES = 12
"""What mosquitto 2.0 expects; other lengths are refused by some of its versions."""
PASSWORD_BYTES = 24


def generate() -> str:
    """Make a password: 192 random bits in letters, digits, ``-`` and ``_``, never beginning with a dash."""
    while (password := secrets.token_urlsafe(PASSWORD_BYTES)).startswith("-"):
        pass  # a command line would take it for an option
    return password


def hash_for_broker(password: str, salt: bytes | None = None) -> str:
    """Hash a password as mosquitto 2 reads it from its password file.

    Args:
        password: in clear.
        salt: 12 bytes; random when None.

    Returns:
        ``$7$<rounds>$<salt>$<hash>``: PBKDF2 with HMAC-SHA-512 and 64 bytes, salt and hash in base64.

    Source: mosquitto 2.0, ``lib/password_mosq.c`` and ``apps/mosquitto_passwd``.
    """
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return f"$7${ROUNDS}${b64encode(salt).decode()}${b64encode(digest).decode()}"


def matches(password: str, stored: str) -> bool:
    """Tell whether a password is the one a stored hash was made of."""
    _, kind, rounds, salt, digest = stored.split("$")
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), b64decode(salt), int(rounds))
    return kind == "7" and hmac.compare_digest(made, b64decode(digest))
