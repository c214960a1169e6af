"""Alert transitions: the event-sourced life of an alert (design section 6)."""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b
from uuid import UUID

import msgspec

from contracts.decoding import decoded


class Transition(StrEnum):
    """What happened to an alert."""

    RAISED = "raised"
    ACKNOWLEDGED = "acknowledged"
    ESCALATED = "escalated"
    DE_ESCALATED = "de-escalated"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How urgent an alert is."""

    WARNING = "warning"
    CRITICAL = "critical"


class AlertTransition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record of ``agora.alerts.v1``, keyed by subject.

    Attributes:
        alert: id of the alert, derived from subject, rule, onset and series (``alert_id``).
        org: organisation of the subject's device.
        subject: subject.
        rule: name of the rule.
        rule_version: its version.
        vital: canonical LOINC code.
        transition: what happened.
        severity: severity after it.
        at: instant in microseconds to which it belongs (``effective_at`` of the reading, or of the person's word).
        onset: ``effective_at`` at which the condition began.
        number: 1, 2, … within the alert; (alert, number) is unique, so a repeat is recognised.
        value: the reading's value in the vital's canonical unit, None where a person caused it.
        unit: UCUM, empty likewise.
        reading: id of the reading that caused it, in text, empty likewise.
        by: who, where a person caused it.
        about_past: True when the reading was late, so that the alert speaks of the past.
        received_at: instant in microseconds at which the causing reading arrived, or the command was given.
        note: what the person said, at most 500 characters.
    """

    alert: str
    org: str
    subject: str
    rule: str
    rule_version: int
    vital: str
    transition: Transition
    severity: Severity
    at: int
    onset: int
    number: int
    value: float | None = None
    unit: str = ""
    reading: str = ""
    by: str = ""
    about_past: bool = False
    received_at: int = 0
    note: str = ""


class AlertCommand(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record of ``agora.alert-commands.v1``, keyed by subject: a person's word about an alert, or the keeper's.

    Attributes:
        alert: which.
        subject: whose, so that the command reaches the right partition.
        action: ``acknowledged`` or ``resolved``.
        by: who says it.
        at: instant in microseconds.
        note: free words of the person, at most 500 characters.
        misplaced: True where the reading that raised it was not the subject's: what it said of the subject is forgotten, and the
            next reading outside the limits raises an alert. A person's word keeps it quiet until a reading is within them.
    """

    alert: str
    subject: str
    action: Transition
    by: str
    at: int
    note: str = ""
    misplaced: bool = False


_encoder = msgspec.json.Encoder()
_transition_decoder = msgspec.json.Decoder(AlertTransition)
_command_decoder = msgspec.json.Decoder(AlertCommand)


def alert_id(subject: str, rule: str, onset: int, series: str = "") -> str:
    """Derive an alert's id, so that a restart neither doubles nor forgets it, and two sensors never share one.

    Args:
        subject: subject.
        rule: rule name.
        onset: instant in microseconds.
        series: the sensor that saw it, ``<org>/<device>/<site>``.

    Returns:
        UUID version 8 (RFC 9562, section 5.8) in text.
    """
    seed = f"{subject}\x1f{rule}\x1f{onset}\x1f{series}"
    digest = bytearray(blake2b(seed.encode(), digest_size=16).digest())
    digest[6] = (digest[6] & 0x0F) | 0x80
    digest[8] = (digest[8] & 0x3F) | 0x80
    return str(UUID(bytes=bytes(digest)))


def encode(value: msgspec.Struct) -> bytes:
    """Write a transition or command as JSON."""
    return _encoder.encode(value)


def decode_transition(value: bytes) -> AlertTransition:
    """Read a record of ``agora.alerts.v1``.

    Raises:
        msgspec.DecodeError: when the bytes are not one.
    """
    return decoded(_transition_decoder, value)


def decode_command(value: bytes) -> AlertCommand:
    """Read a record of ``agora.alert-commands.v1``.

    Raises:
        msgspec.DecodeError: when the bytes are not one.
    """
    return decoded(_command_decoder, value)
