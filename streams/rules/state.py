"""What is remembered of a subject between two frames, small and bounded (design section 5, 6)."""

from __future__ import annotations

import msgspec

from contracts.alerts import AlertTransition, Severity

MAX_OPEN_PAST = 16
"""Alerts about the past kept open for a person's word; the oldest leaves first. Live alerts are bounded by the rules."""
MAX_CLOSED = 32
"""Ids of alerts closed last, so that a repeated reading does not open one of them again."""


class OpenAlert(msgspec.Struct, array_like=True):
    """An alert that was raised and not yet resolved."""

    alert: str
    org: str
    rule: str
    rule_version: int
    vital: str
    severity: Severity
    onset: int
    number: int
    acknowledged: bool = False
    about_past: bool = False


class SideState(msgspec.Struct, array_like=True):
    """Where one side (low or high) of one rule stands.

    Attributes:
        last_at: ``effective_at`` of the newest reading judged.
        outside_since: when the value left the limits, or None while inside.
        alert: id of the live alert, empty when none is open.
        muted: True after a person resolved the alert, until the value has been inside the limits.
    """

    last_at: int = 0
    outside_since: int | None = None
    alert: str = ""
    muted: bool = False


class Watermark(msgspec.Struct, array_like=True):
    """The last record of one source that went into the state, and what it caused.

    Attributes:
        offset: of that record.
        transitions: to be sent again, never skipped, when that record comes again.
    """

    offset: int
    transitions: list[AlertTransition]


class FlagState(msgspec.Struct, array_like=True):
    """Everything remembered of one subject.

    Attributes:
        sides: by ``<rule>/<low|high>``.
        alerts: open alerts by id.
        closed: ids closed last, oldest first.
        watermarks: by source topic.
    """

    sides: dict[str, SideState] = msgspec.field(default_factory=dict)
    alerts: dict[str, OpenAlert] = msgspec.field(default_factory=dict)
    closed: list[str] = msgspec.field(default_factory=list)
    watermarks: dict[str, Watermark] = msgspec.field(default_factory=dict)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(FlagState)


def encode_state(state: FlagState) -> bytes:
    """Write a subject's state as msgpack."""
    return _encoder.encode(state)


def decode_state(value: bytes) -> FlagState:
    """Read a subject's state.

    Raises:
        msgspec.DecodeError: when the bytes are not one.
    """
    return _decoder.decode(value)
