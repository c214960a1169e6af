"""Messages that the platform must refuse, one kind for each reason. Pure."""

from __future__ import annotations

from typing import Any

from contracts.errors import Code
from simulators.messages import to_json

_ABSENT = object()
_CHANGES: dict[Code, dict[str, Any]] = {
    Code.UNIT_UNKNOWN: {"unit": "bpm"},
    Code.UNIT_NOT_ALLOWED: {"unit": "kg"},
    Code.VITAL_UNKNOWN: {"code": "0000-0"},
    Code.PAYLOAD_INVALID: {"value": "seventy-two"},
    Code.TIME_MISSING: {"time": _ABSENT},
    Code.TIME_WITHOUT_ZONE: {},
    Code.PAYLOAD_EMPTY: {"code": _ABSENT, "value": _ABSENT, "unit": _ABSENT, "readings": []},
    Code.PAYLOAD_UNDECODABLE: {},
}
"""For the code a message should be refused with: what differs from a good one."""
KINDS: tuple[Code, ...] = tuple(_CHANGES)


def spoil(kind: Code, time: str) -> bytes:
    """Write a message that is to be refused.

    Args:
        kind: the reason, one of ``KINDS``.
        time: of the reading, RFC 3339 in UTC.

    Returns:
        The payload; it carries neither a sequence nor a message id.
    """
    good = {"time": time, "code": "8867-4", "value": 72, "unit": "/min"}
    changed = {name: value for name, value in (good | _CHANGES[kind]).items() if value is not _ABSENT}
    if kind is Code.TIME_WITHOUT_ZONE:
        changed["time"] = time.removesuffix("Z")
    payload = to_json(changed)
    # A device that lost power while it wrote.
    return payload[: len(payload) // 2] if kind is Code.PAYLOAD_UNDECODABLE else payload
