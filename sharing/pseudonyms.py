"""Pseudonyms: each app knows a subject, a device and a reading by another name than every other app. Pure.

The key of an app derives from one master secret (HKDF, RFC 5869) over the app's name and its epoch, so that nothing but the
master has to be kept, and raising the epoch gives an app new names. Values and exact times can still be matched by two apps that
collude.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from contracts.errors import Misconfigured

MASTER_BYTES = 32
"""Least length of the master secret."""
_REMEMBERED = 50_000


def master_of(text: str) -> bytes:
    """Read the master secret from the setting ``AGORA_PSEUDONYM_MASTER``.

    Args:
        text: hexadecimal, at least 64 digits.

    Returns:
        Its bytes.

    Raises:
        Misconfigured: when it is not hexadecimal or too short; the text itself is never repeated.
    """
    try:
        master = bytes.fromhex(text)
    except ValueError:
        raise Misconfigured("AGORA_PSEUDONYM_MASTER is not hexadecimal") from None
    if len(master) < MASTER_BYTES:
        raise Misconfigured(f"AGORA_PSEUDONYM_MASTER is shorter than {MASTER_BYTES} bytes")
    return master


class AppPseudonyms:
    """The names under which one app, in one epoch, knows subjects, devices and readings.

    All are UUIDs of version 8 in text (RFC 9562, section 5.8), valid as FHIR ids: the first 128 bits of an HMAC-SHA256 with the
    app's key over the kind of thing and its inner name.
    """

    def __init__(self, master: bytes, app: str, epoch: int = 1) -> None:
        """Derive the app's key.

        Args:
            master: the platform's master secret, at least 32 bytes.
            app: the app's name.
            epoch: the app's ``pseudonym_epoch``, from 1.
        """
        info = f"agora pseudonyms\x1f{app}\x1f{epoch}".encode()
        self._key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(master)
        self._known: dict[bytes, str] = {}

    def subject(self, name: str) -> str:
        """Give the name of a subject; the id of its FHIR Patient."""
        return self._remembered(b"subject\x1f" + name.encode())

    def device(self, org: str, device: str) -> str:
        """Give the name of a device."""
        return self._remembered(f"device\x1f{org}/{device}".encode())

    def reading(self, identifier: bytes) -> str:
        """Give the name of a reading, or of a panel; the id of its FHIR Observation.

        Args:
            identifier: 16 bytes, ``contracts.ids.observation_id``; for a panel ``sharing.fhir.observation.identity``.
        """
        return self._name(b"reading\x1f" + identifier)

    def consent_notice(self, consent: str, revision: int) -> str:
        """Give the id of the event that tells the app of a consent's revision, the same at each repeat."""
        return self._name(f"notice\x1f{consent}\x1f{revision}".encode())

    def _remembered(self, what: bytes) -> str:
        name = self._known.get(what)
        if name is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            name = self._known[what] = self._name(what)
        return name

    def _name(self, what: bytes) -> str:
        digits = hmac.digest(self._key, what, "sha256")[:16].hex()
        # Version 8 and the RFC's variant; by hand, since this is done for each reading and app.
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
