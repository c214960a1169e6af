"""Observations: what the platform made of a device's readings."""

from __future__ import annotations

import re
from enum import IntFlag

import msgspec

from contracts.decoding import decoded

SITE_PATTERN = r"^[A-Za-z0-9._-]{1,64}\Z"
"""What a method or body site may look like, where a device names one."""
MAX_SITES = 256
"""Sites that one message may name, and one device in its life unless the operator lets it have more: each is kept for ever."""
_is_named = re.compile(SITE_PATTERN).match


def is_site(text: str) -> bool:
    """Tell whether a text can be the site of an observation; the empty one says that none was named."""
    return not text or _is_named(text) is not None


class Quality(IntFlag):
    """What is known about how far to trust a reading. Bits are forever; new ones are appended."""

    NONE = 0
    IMPLAUSIBLE = 1
    """Outside what is physiologically possible for the vital; stored, never alerted on."""
    CLOCK_SUSPECT = 2
    """Device time and arrival disagree by more than the device's transport explains, without a recorded correction."""
    LATE = 4
    """Arrived more than its allowance after it was measured."""
    ESTIMATED = 8
    TEST_DATA = 16
    """The device marked it as a test (FHIR ``meta.security`` HTEST)."""
    SEQUENCED = 32
    """The device sent a sequence number, so gaps can be seen."""
    CLOCK_CORRECTED = 64
    """``effective_at`` differs from ``device_time`` by a recorded correction."""


class Observation(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One reading, normalised (design section 3, compact form).

    Attributes:
        id: 16 bytes, derived from the identity (``contracts.ids.observation_id``).
        org: organisation of the device.
        device: device name within the organisation.
        subject: pseudonymous subject name.
        vital: canonical LOINC code.
        site: method or body site, empty when none (``is_site``).
        value: in the vital's canonical UCUM unit.
        unit: that unit.
        device_time: microseconds, as sent; never changes.
        effective_at: microseconds, ``device_time`` plus the recorded clock correction.
        received_at: microseconds, when the bridge had it.
        sequence: as sent, else position in the message.
        quality: bits of ``Quality``.
        message: index of its message in the raw record it came from, which the header ``agora-origins`` names.
        owner: True on exactly one observation record per message: the vitals record that accounts for the message.
        panel: LOINC code of the panel it was a component of, empty when alone.
        profile: version of the catalogue's entry that judged it.
    """

    id: bytes
    org: str
    device: str
    subject: str
    vital: str
    site: str
    value: float
    unit: str
    device_time: int
    effective_at: int
    received_at: int
    sequence: int
    quality: int = 0
    message: int = 0
    owner: bool = True
    panel: str = ""
    profile: int = 1


class VitalsFrame(msgspec.Struct, array_like=True, frozen=True):
    """What a record of ``agora.vitals.v1`` holds: observations of one or more raw records for one partition of subjects."""

    observations: list[Observation]


_decoder = msgspec.msgpack.Decoder(VitalsFrame)


def decode_vitals(value: bytes) -> VitalsFrame:
    """Read a vitals frame.

    Raises:
        msgspec.DecodeError: when the bytes are not a vitals frame.
    """
    return decoded(_decoder, value)
