"""Observations as rows of PostgreSQL's binary COPY format.

Every column has a fixed width, so a row is one ``struct``; instants stay whole microseconds and no ``datetime`` is ever made.
Source of the format: PostgreSQL manual, COPY, "Binary Format"; a ``timestamptz`` is an int64 of microseconds since 2000-01-01.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct, error

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
"""In the order of ``pack``: the identity first, so that rows sort by it as bytes, in every writer alike."""
# Each field is preceded by its length in bytes; the row by its number of fields.
_pack = Struct(">h iq ii ih ih iq id iq iq ii ii ih").pack
_unpack_value = Struct(">d").unpack_from
_IDENTITY_END = 2 + 12 + 8 + 6 + 6 + 12
_VALUE_START = _IDENTITY_END + 4
IDENTITY = slice(0, _IDENTITY_END)
"""The part of a row that the unique index covers."""
Unpackable = error
"""Raised by ``pack`` for a number that its column cannot hold."""


def pack(
    device_time: int,
    device_key: int,
    vital_key: int,
    site_key: int,
    sequence: int,
    value: float,
    effective_at: int,
    received_at: int,
    subject_key: int,
    quality: int,
    profile: int,
) -> bytes:
    """Make a row.

    Args:
        device_time: microseconds since 1970, like the other two instants.
        device_key: 32 bits, like ``subject_key`` and ``quality``.
        vital_key: 16 bits, like ``site_key`` and ``profile``.
        site_key: as above.
        sequence: 64 bits.
        value: any float.
        effective_at: as above.
        received_at: as above.
        subject_key: as above.
        quality: as above.
        profile: as above.

    Returns:
        The row's bytes.

    Raises:
        Unpackable: when a number is too large for its column.
    """
    # fmt: off
    return _pack(
        11, 8, device_time - EPOCH_2000, 4, device_key, 2, vital_key, 2, site_key, 8, sequence, 8, value,
        8, effective_at - EPOCH_2000, 8, received_at - EPOCH_2000, 4, subject_key, 4, quality, 2, profile,
    )
    # fmt: on


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
