"""Sealed cursors: where a page ended, readable by us alone and bound to the app and the search it was made for.

See docs/adr/0007-fhir-search-paging.md.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sharing.fhir.problem import SearchProblem

P = TypeVar("P", bound=msgspec.Struct)
NONCE_BYTES = 12


class ObservationPlace(msgspec.Struct, array_like=True, frozen=True):
    """Where a page of Observations ended: the sort key of its last one.

    Attributes:
        effective_at: instant in microseconds.
        device_key: key of the device.
        site_key: key of the site.
        device_time: instant in microseconds.
        sequence: sequence of the reading.
        group: what is shown together (see ``sharing.gateway.readings``).
    """

    effective_at: int
    device_key: int
    site_key: int
    device_time: int
    sequence: int
    group: int


class PatientPlace(msgspec.Struct, array_like=True, frozen=True):
    """Where a page of Patients ended: the pseudonym of its last one."""

    pseudonym: str


class CursorSeal:
    """Seals and opens cursors (AES-256-GCM).

    Args:
        secret: any secret of the installation; the key derives from it (HKDF, RFC 5869), so that cursors outlive a restart.
    """

    def __init__(self, secret: bytes) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"agora search cursors").derive(secret)
        self._cipher = AESGCM(key)

    def seal(self, place: msgspec.Struct, search: bytes) -> str:
        """Seal a place.

        Args:
            place: where a page ended.
            search: what the place belongs to: app and parameters.

        Returns:
            Base64url without padding.
        """
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, msgspec.msgpack.encode(place), search)
        return urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()

    def open(self, cursor: str, kind: type[P], search: bytes) -> P:
        """Open a cursor.

        Raises:
            SearchProblem: not sealed by us, or for another app or search.
        """
        try:
            data = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
            return msgspec.msgpack.decode(self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], search), type=kind)
        except (ValueError, InvalidTag, msgspec.DecodeError):
            raise SearchProblem("_cursor does not belong to this search: follow a next link as it is") from None


def search_of(app: str, resource: str, parameters: tuple[tuple[str, str], ...]) -> bytes:
    """Name what a cursor belongs to."""
    return msgspec.msgpack.encode((app, resource, parameters))
