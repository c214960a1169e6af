"""Observations as rows of PostgreSQL's binary COPY format.

Every column has a fixed width, so a row is one ``struct``; instants stay whole microseconds and no ``datetime`` is ever made.
Source of the format: PostgreSQL manual, COPY, "Binary Format"; a ``timestamptz`` is an int64 of microseconds since 2000-01-01.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct, error

from contracts.observation import Observation
from storage.keys import Keys

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
EPOCH_2000 = 946_684_800_000_000
"""2000-01-01T00:00:00Z in microseconds since 1970."""
COLUMNS = (
    "device_time",
    "device_key",
    "vital_key",
    "site_key",
    "sequence",
    "value",
    "effective_at",
    "received_at",
    "subject_key",
    "quality",
    "profile",
)
"""In the order of ``_pack``: the identity first, so that rows sort by it as bytes, in every writer alike."""
# Each field is preceded by its length in bytes; the row by its number of fields.
_pack = Struct(">h iq ii ih ih iq id iq iq ii ii ih").pack
_unpack_value = Struct(">d").unpack_from
_IDENTITY_END = 2 + 12 + 8 + 6 + 6 + 12
_VALUE_START = _IDENTITY_END + 4
IDENTITY = slice(0, _IDENTITY_END)
"""The part of a row that the unique index covers."""


def pack_all(observations: Iterable[Observation], keys: Keys) -> tuple[list[bytes | None], bool]:
    """Make rows.

    Args:
        observations: what to store.
        keys: surrogate keys that are known by now.

    Returns:
        A row per observation, None where a key is missing or a number does not fit its column; and whether a key was missing.
    """
    devices, subjects, vitals = keys.devices, keys.subjects, keys.vitals
    shared, own = keys.sites.shared, keys.sites.own
    rows: list[bytes | None] = []
    append = rows.append
    missing = False
    for one in observations:
        try:
            site = shared.get(one.site)
            if site is None:
                site = own[one.org, one.device, one.site]
            # fmt: off
            append(_pack(
                11, 8, one.device_time - EPOCH_2000, 4, devices[one.org, one.device], 2, vitals[one.vital], 2, site,
                8, one.sequence, 8, one.value, 8, one.effective_at - EPOCH_2000, 8, one.received_at - EPOCH_2000,
                4, subjects[one.subject], 4, one.quality, 2, one.profile,
            ))
            # fmt: on
        except KeyError:
            append(None)
            missing = True
        except error:
            append(None)
    return rows, missing


def value_of(row: bytes) -> float:
    """Read a row's value back."""
    number: float = _unpack_value(row, _VALUE_START)[0]
    return number


def same_value(one: float, other: float) -> bool:
    """Tell whether two values are the same reading; PostgreSQL's way, in which NaN equals itself."""
    return one == other or (one != one and other != other)


def copy_data(rows: Iterable[bytes]) -> bytes:
    """Join rows to what COPY … FROM STDIN (FORMAT binary) takes."""
    return b"".join((HEADER, *rows, TRAILER))
