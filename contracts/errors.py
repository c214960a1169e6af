"""The closed vocabulary of what can go wrong, by what must happen next.

A code is forever on the wire (devices and integrators match on it), so each word here has had a second reader.
"""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """Where in the journey a message was refused."""

    BRIDGE = "bridge"
    NORMALISE = "normalise"
    FLAG = "flag"
    STORE = "store"
    ROUTER = "router"
    GATEWAY = "gateway"


class Code(StrEnum):
    """Why a message, or a part of it, was refused or warned about. See ``EXPLANATIONS`` for the words."""

    TOPIC_MALFORMED = "topic-malformed"
    STREAM_UNKNOWN = "stream-unknown"
    DEVICE_UNKNOWN = "device-unknown"
    DEVICE_RETIRED = "device-retired"
    PAYLOAD_TOO_LARGE = "payload-too-large"
    PAYLOAD_UNDECODABLE = "payload-undecodable"
    PAYLOAD_INVALID = "payload-invalid"
    PAYLOAD_EMPTY = "payload-empty"
    FIELD_UNKNOWN = "field-unknown"
    VITAL_UNKNOWN = "vital-unknown"
    UNIT_UNKNOWN = "unit-unknown"
    UNIT_NOT_ALLOWED = "unit-not-allowed"
    VALUE_NOT_FINITE = "value-not-finite"
    PANEL_INVALID = "panel-invalid"
    SITES_EXCEEDED = "sites-exceeded"
    TIME_MISSING = "time-missing"
    TIME_WITHOUT_ZONE = "time-without-zone"
    CLOCK = "clock"
    UNASSIGNED = "unassigned"
    CONFLICT = "conflict"
    RESPONSE_TOPIC_FOREIGN = "response-topic-foreign"
    CORRELATION_TOO_LONG = "correlation-too-long"
    RATE_EXCEEDED = "rate-exceeded"
    INTERNAL = "internal"


EXPLANATIONS: dict[Code, tuple[str, str]] = {
    Code.TOPIC_MALFORMED: (
        "The MQTT topic is not agora/v1/<org>/<device>/up/<stream>.",
        "Publish on the topic that enrolment printed.",
    ),
    Code.STREAM_UNKNOWN: (
        "The device's model declares no such stream.",
        "Publish on a stream of the device's model, see docs/reference/devices.md.",
    ),
    Code.DEVICE_UNKNOWN: (
        "No device of this name is enrolled in this organisation.",
        "Enrol the device, then replay the quarantined message.",
    ),
    Code.DEVICE_RETIRED: ("The device was retired.", "Enrol it again if it is back in use."),
    Code.PAYLOAD_TOO_LARGE: (
        "The message is larger than a frame may be (512 KiB).",
        "Send smaller batches.",
    ),
    Code.PAYLOAD_UNDECODABLE: (
        "The bytes are not what the stream's format says (for Agora's format: UTF-8 JSON).",
        "Check encoding and truncation on the device.",
    ),
    Code.PAYLOAD_INVALID: (
        "The message was decoded, but a field is missing or has the wrong type or range.",
        "The field path says where; see docs/reference/schemas.",
    ),
    Code.PAYLOAD_EMPTY: ("The message holds no reading.", "Send at least one reading, or nothing."),
    Code.FIELD_UNKNOWN: (
        "A field is not part of the format. Beside the readings it is kept aside (a warning); inside one it is refused.",
        "Remove the field, or check its spelling.",
    ),
    Code.VITAL_UNKNOWN: (
        "The code is not a vital of the catalogue.",
        "Use a LOINC code of docs/reference/vitals.md, or add the vital (CONTRIBUTING).",
    ),
    Code.UNIT_UNKNOWN: (
        "The unit is not UCUM.",
        "Use the UCUM code, as in [degF] for Fahrenheit and /min for beats per minute.",
    ),
    Code.UNIT_NOT_ALLOWED: (
        "The unit is UCUM but not one this vital may be sent in.",
        "Use one of the vital's units, see docs/reference/vitals.md.",
    ),
    Code.VALUE_NOT_FINITE: ("The value is not a finite number.", "Leave the reading out when there is no value."),
    Code.PANEL_INVALID: (
        "A panel holds a component that does not belong to it, twice the same, or none.",
        "Send the components the panel lists in docs/reference/vitals.md.",
    ),
    Code.SITES_EXCEEDED: (
        "The message names more than 256 sites, or its device has named as many as it may (256, unless the operator set more).",
        "Name places or methods, not measurements; an operator can let devices have more, then replay.",
    ),
    Code.TIME_MISSING: ("A reading has no time of its own and the message has none.", "Send `time` once or per reading."),
    Code.TIME_WITHOUT_ZONE: (
        "A time carries no offset from UTC.",
        "Send RFC 3339 with Z or an offset, as in 2026-11-22T10:00:00Z.",
    ),
    Code.CLOCK: (
        "The reading's time lies more than 400 days before or one day after its arrival.",
        "Set the device's clock; an operator can record a clock correction and replay.",
    ),
    Code.UNASSIGNED: (
        "No subject, or more than one, had the device on loan at that time.",
        "Correct the loan periods, then replay.",
    ),
    Code.CONFLICT: (
        "A reading with the same identity but another value is stored already.",
        "Send a sequence number, or a time of finer resolution.",
    ),
    Code.RESPONSE_TOPIC_FOREIGN: (
        "The response topic is not the device's own down/receipts; no receipt was sent there.",
        "Use agora/v1/<org>/<device>/down/receipts, or none.",
    ),
    Code.CORRELATION_TOO_LONG: ("Correlation data is longer than 64 bytes; no receipt was sent.", "Use at most 64 bytes."),
    Code.RATE_EXCEEDED: (
        "More messages or bytes came from the device than its quota allows; they were not taken and get no receipt.",
        "Rest for `retry_after` seconds, then send again, more slowly, what has no receipt.",
    ),
    Code.INTERNAL: (
        "A rule of the platform itself failed on this message.",
        "Report it with the quarantine number; replay after the fix.",
    ),
}
"""For each code: what it says, and what to do. The generated error reference is made of this."""


class AgoraError(Exception):
    """Root of the platform's own exceptions."""


class Rejected(AgoraError):
    """A message cannot be handled as it is: quarantine, no retry, the stream goes on.

    Args:
        code: why, from the closed vocabulary.
        words: the reason in words for the device's maker; never a patient's value.
        field: path of the offending field, as in ``$.readings[0].unit``; empty when it is the whole message.
    """

    def __init__(self, code: Code, words: str = "", field: str = "") -> None:
        self.code = code
        self.words = words or EXPLANATIONS[code][0]
        self.field = field
        super().__init__(f"{code}: {self.words}" + (f" at {field}" if field else ""))


class Unavailable(AgoraError):
    """Something outside (broker, database) does not answer: retry in place with back-off, never acknowledge."""


class Denied(AgoraError):
    """Consent or scope does not allow it: 403 and an audit record."""


class Misconfigured(AgoraError):
    """A setting is missing or contradicts another: stop at start, naming it."""
