"""What one device may send, so that a flood of one does not hold up the others; pure. See docs/adr/0010-device-quota.md."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from contracts.errors import Code
from ingest.replies import Handles, Replies
from ingest.routes import Route
from runtime.allowance import Allowances, Reminders

TELL_SECONDS = 1.0
"""A device is told that often at most, not once a message: the answers to a flood would be another one."""
NAME_SECONDS = 60.0
"""An operator is told that often which device it is."""
LONGEST_REST_SECONDS = 10


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """What each device may send.

    Attributes:
        messages: a second, over time.
        burst_messages: at once, after a pause; also what may come at once when the platform itself was away.
        bytes: a second, over time; topic, payload and the frame's overhead count.
        burst_bytes: at once.
    """

    messages: float = 100.0
    burst_messages: int = 20_000
    bytes: float = 1024.0 * 1024
    burst_bytes: int = 64 * 1024 * 1024


class Exceeded:
    """What one reading of the socket brought beyond quotas.

    Attributes:
        messages: how many messages were refused.
        replies: what their devices are told.
        names: devices an operator is to be told of.
    """

    __slots__ = ("messages", "names", "replies")

    def __init__(self) -> None:
        self.messages = 0
        self.replies = Replies()
        self.names: list[str] = []


class Quotas:
    """Every device's quota."""

    def __init__(self, limits: QuotaLimits) -> None:
        self._limits = limits
        self._messages = Allowances(limits.messages, limits.burst_messages)
        self._bytes = Allowances(limits.bytes, limits.burst_bytes)
        self._told = Reminders(TELL_SECONDS)
        self._named = Reminders(NAME_SECONDS)
        self._rest = max(1, min(LONGEST_REST_SECONDS, ceil(limits.burst_messages / limits.messages)))

    def admits(self, device: str, size: int, at: float) -> bool:
        """Tell whether a message is within its device's quota, and count it if so.

        Args:
            device: ``<org>/<device>``.
            size: bytes.
            at: seconds of a clock that never goes back.
        """
        return not (self._messages.take(device, 1, at) or self._bytes.take(device, size, at))

    def refuse(self, route: Route, handles: Handles | None, at: float, exceeded: Exceeded) -> None:
        """Note that a message was refused, and tell device and operator where it is time to.

        Args:
            route: of the message.
            handles: by what the device knows it.
            at: as above.
            exceeded: where it is noted.
        """
        exceeded.messages += 1
        if self._told.due(route.key, at):
            exceeded.replies.error(
                route, Code.RATE_EXCEEDED, self._words(), handles or Handles(route, None, None, None), self._rest
            )
        if self._named.due(route.key, at):
            exceeded.names.append(route.key)

    def _words(self) -> str:
        limits = self._limits
        return (
            f"More came than {limits.messages:g} messages or {limits.bytes:g} bytes a second, and than "
            f"{limits.burst_messages} messages or {limits.burst_bytes} bytes at once. "
            "This message was not taken, nor are others until you send more slowly. "
            f"Keep what has no receipt, rest for {self._rest} seconds, then send it again."
        )
