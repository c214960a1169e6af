"""What is remembered of a subject between two frames, small and bounded (design section 5, 6)."""

from __future__ import annotations

import msgspec

from contracts.alerts import AlertTransition, Severity
from contracts.decoding import decoded

MAX_OPEN_PAST = 16
"""Alerts about the past kept open for a person's word; the oldest leaves first. Live alerts are bounded by the series."""
MAX_SERIES = 8
"""Series of one vital that a side judges at once; beyond it the stalest without an open alert is forgotten."""
MAX_HELD = 256
"""The same over all sides of a subject, whatever its rules and devices, so that a state stays below ``MAX_STATE_BYTES``."""
MAX_EPISODES = 32
"""Times outside the limits that a series remembers, the newest, so that their readings raise nothing when they come again."""
MAX_CLOSED = 256
"""Ids of alerts closed last, so that a repeated reading does not open one of them again."""


class OpenAlert(msgspec.Struct, array_like=True):
    """An alert that was raised and not yet resolved. ``series`` is empty where a version before series raised it."""

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
    series: str = ""


class SideState(msgspec.Struct, array_like=True):
    """Where one series stands with one side (low or high) of one rule.

    Attributes:
        last_at: ``effective_at`` of the series' newest reading judged, or its arrival where that is earlier.
        outside_since: when the value left the limits, or None while inside.
        alert: id of the live alert, empty when none is open.
        muted: True after a person resolved the alert, until the value has been inside the limits.
        episodes: (first, last) instant of the times outside that are over and judged, oldest first.
    """

    last_at: int = 0
    outside_since: int | None = None
    alert: str = ""
    muted: bool = False
    episodes: tuple[tuple[int, int], ...] = ()

    @property
    def calm(self) -> bool:
        """Whether there is nothing to follow up: the value was inside the limits at the last reading, and no alert is open."""
        return self.outside_since is None and not self.alert and not self.muted


class Watermark(msgspec.Struct, array_like=True):
    """How far one source went into the state, and what its records caused that may not be confirmed yet.

    Attributes:
        offset: of the last record.
        sent: (offset, transitions) of records that may come again: then the same transitions are sent again, never skipped.
    """

    offset: int
    sent: list[tuple[int, list[AlertTransition]]] = msgspec.field(default_factory=list)

    def again(self, offset: int) -> list[AlertTransition]:
        """Give what a record caused when it was judged; nothing for one that caused nothing or is confirmed long since."""
        return next((transitions for known, transitions in self.sent if known == offset), [])

    def advance(self, offset: int, transitions: list[AlertTransition], floor: int) -> None:
        """Take a record in.

        Args:
            offset: of the record.
            transitions: what it caused.
            floor: records below this offset are confirmed and will not come again unconfirmed.
        """
        self.offset = offset
        if self.sent:
            self.sent = [entry for entry in self.sent if entry[0] >= floor]
        if transitions:
            self.sent.append((offset, transitions))


class FlagState(msgspec.Struct, array_like=True):
    """Everything remembered of one subject.

    Attributes:
        unclaimed: by ``<rule>/<low|high>``, from a version that did not tell series apart; the next one measured takes it over.
        alerts: open alerts by id.
        closed: ids closed last, oldest first.
        watermarks: by source topic.
        kept_at: the same of the newest reading when the state was last written to the changelog.
        series: by ``<org>/<device>/<site>``, then by ``<rule>/<low|high>``.
    """

    unclaimed: dict[str, SideState] = msgspec.field(default_factory=dict)
    alerts: dict[str, OpenAlert] = msgspec.field(default_factory=dict)
    closed: list[str] = msgspec.field(default_factory=list)
    watermarks: dict[str, Watermark] = msgspec.field(default_factory=dict)
    kept_at: int = 0
    series: dict[str, dict[str, SideState]] = msgspec.field(default_factory=dict)


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
    return decoded(_decoder, value)
