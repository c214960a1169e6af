"""Names, partitions and content-derived ids."""

from __future__ import annotations

import re
from hashlib import blake2b
from uuid import UUID

NAME = re.compile(r"[a-z0-9-]{1,64}\Z")
"""Organisations, devices, subjects, apps and streams are named like this (design section 3)."""

_MURMUR_SEED = 0x9747B28C
_MASK = 0xFFFFFFFF
_UUID_FREE = (1 << 128) - 1 - (0xF << 76 | 0x3 << 62)
"""The bits of a UUID that are neither version nor variant."""
_UUID_VERSION_8 = 0x8 << 76 | 0x2 << 62
_hash_begun = blake2b(digest_size=16)
"""A copy of it costs two thirds of a new one."""


def is_name(text: str) -> bool:
    """Tell whether a text may name an organisation, device, subject, app or stream.

    Args:
        text: the candidate.

    Returns:
        True for 1 to 64 characters of ``a-z``, ``0-9`` and ``-``.
    """
    return NAME.match(text) is not None


def device_key(org: str, device: str) -> str:
    """Join organisation and device to the key under which a device is known everywhere, ``<org>/<device>``."""
    return f"{org}/{device}"


def murmur2(data: bytes) -> int:
    """Hash like Kafka's default partitioner (murmur2, 32 bits, seed 0x9747b28c).

    Args:
        data: the key's bytes.

    Returns:
        The unsigned 32-bit hash, before ``toPositive``.

    Source: Apache Kafka, ``org.apache.kafka.common.utils.Utils.murmur2``.
    """
    length = len(data)
    value = (_MURMUR_SEED ^ length) & _MASK
    whole = length & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little")
        word = (word * 0x5BD1E995) & _MASK
        word ^= word >> 24
        word = (word * 0x5BD1E995) & _MASK
        value = ((value * 0x5BD1E995) & _MASK) ^ word
    rest = length - whole
    if rest:
        value ^= int.from_bytes(data[whole:], "little")
        value = (value * 0x5BD1E995) & _MASK
    value ^= value >> 13
    value = (value * 0x5BD1E995) & _MASK
    return value ^ (value >> 15)


_LONGEST_KEY = 129
"""Of ``<org>/<device>``; what is longer is nobody's, and not remembered."""
_partitions: dict[tuple[str, int], int] = {}


def partition_of(key: str, partitions: int) -> int:
    """Give the partition of a key, the same as Kafka's Java producer would choose.

    Args:
        key: UTF-8 key, ``<org>/<device>`` or a subject.
        partitions: number of partitions of the topic, at least 1.

    Returns:
        0 to ``partitions - 1``.
    """
    if len(key) > _LONGEST_KEY:
        return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
    known = _partitions.get((key, partitions))
    if known is None:
        if len(_partitions) > 200_000:
            _partitions.clear()
        known = (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
        _partitions[key, partitions] = known
    return known


def observation_id(org: str, device: str, vital: str, site: str, device_time: int, sequence: int) -> bytes:
    """Derive a reading's id from its identity, so that a replay gives the same id (design section 5, 2).

    Args:
        org: organisation.
        device: device.
        vital: canonical LOINC code.
        site: method or body site, empty when the device names none.
        device_time: microseconds, as the device sent it.
        sequence: number the device sent, else the position in the message.

    Returns:
        16 bytes of a UUID version 8 (RFC 9562, section 5.8: custom, here BLAKE2b of the tuple).
    """
    return id_of(identity_part(org, device) + identity_part(vital, site) + identity_end(device_time, sequence))


def identity_part(*names: str) -> bytes:
    """Write names as they stand in an identity, so that whoever derives many ids writes them once.

    Args:
        names: organisation and device, or vital and site.

    Returns:
        Their bytes, each closed by a separator.
    """
    return "".join(f"{name}\x1f" for name in names).encode()


def identity_end(device_time: int, sequence: int) -> bytes:
    """Write the end of an identity, which all readings of a message mostly share."""
    return b"%d\x1f%d" % (device_time, sequence)


def id_of(identity: bytes) -> bytes:
    """Hash an identity to a reading's id.

    Args:
        identity: organisation and device, vital and site (``identity_part`` each), then ``identity_end``.

    Returns:
        What ``observation_id`` gives.
    """
    begun = _hash_begun.copy()
    begun.update(identity)
    number = int.from_bytes(begun.digest(), "big")
    return (number & _UUID_FREE | _UUID_VERSION_8).to_bytes(16, "big")


def id_text(identifier: bytes) -> str:
    """Write 16 bytes of a UUID in its usual text form."""
    return str(UUID(bytes=identifier))
