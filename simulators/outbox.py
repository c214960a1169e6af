"""A device's memory: what it wrote stays until the platform has answered for it. Pure; the clock is handed in."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.misbehaviour import Letter

RESEND_SECONDS = 5.0
"""How long after a letter was handed to the broker it is sent again; doubled each time."""
RESEND_LIMIT_SECONDS = 60.0


@dataclass(slots=True)
class _Entry:
    letter: Letter
    sent: int = 0
    handed: bool = False
    """On the present connection and not yet acknowledged by the broker: sending it again would only pile it up."""
    due: float = 0.0


class Outbox:
    """Letters without an answer, oldest first.

    Args:
        capacity: how many it holds, at least 1; a full device writes nothing new.
        resend_seconds: wait before the second sending, above 0.
    """

    def __init__(self, capacity: int, resend_seconds: float = RESEND_SECONDS) -> None:
        self._capacity = capacity
        self._resend_seconds = resend_seconds
        self._entries: dict[str, _Entry] = {}
        self._nothing_before = 0.0

    def __len__(self) -> int:
        """Count the letters without an answer."""
        return len(self._entries)

    def __contains__(self, correlation_id: str) -> bool:
        """Tell whether a letter still waits for its answer."""
        return correlation_id in self._entries

    @property
    def full(self) -> bool:
        """Whether there is no room for another letter."""
        return len(self._entries) >= self._capacity

    def correlation_ids(self) -> frozenset[str]:
        """List the letters without an answer."""
        return frozenset(self._entries)

    def add(self, letter: Letter) -> None:
        """Keep a new letter; it is due at once.

        Raises:
            OverflowError: when the outbox is full; ask ``full`` before.
        """
        if self.full:
            raise OverflowError("the outbox is full")
        self._entries[letter.correlation_id] = _Entry(letter)
        self._nothing_before = 0.0

    def take_due(self, now: float) -> list[tuple[Letter, bool]]:
        """Take what is to be sent now; each is then in the hands of the connection.

        Args:
            now: seconds of a clock that never goes back.

        Returns:
            Letters, oldest first, and whether each was sent before.
        """
        if now < self._nothing_before:
            return []
        taken: list[tuple[Letter, bool]] = []
        for entry in self._entries.values():
            if not entry.handed and entry.due <= now:
                entry.handed = True
                entry.sent += 1
                wait = min(self._resend_seconds * 2 ** (entry.sent - 1), RESEND_LIMIT_SECONDS)
                entry.due = now + wait
                taken.append((entry.letter, entry.sent > 1))
        waiting = (entry.due for entry in self._entries.values() if not entry.handed)
        self._nothing_before = min(waiting, default=float("inf"))
        return taken

    def acknowledged(self, correlation_id: str) -> None:
        """Note that the broker has it. That is no receipt: the letter is due again when its wait is over."""
        entry = self._entries.get(correlation_id)
        if entry is not None and entry.handed:
            entry.handed = False
            self._nothing_before = min(self._nothing_before, entry.due)

    def settle(self, correlation_id: str) -> Letter | None:
        """Forget a letter that was answered.

        Returns:
            The letter, or None when it is not here (answered before, or never ours).
        """
        entry = self._entries.pop(correlation_id, None)
        return None if entry is None else entry.letter

    def connection_lost(self) -> None:
        """Whatever the broker had not acknowledged is due at once on the next connection."""
        for entry in self._entries.values():
            if entry.handed:
                entry.handed = False
                entry.due = 0.0
        self._nothing_before = 0.0


class Sendings:
    """Remembers how far a device had come when it sent a letter again: what it sends for the first time later must arrive later.

    Attributes:
        again: correlations of letters that were sent again, each with the highest number that had been sent for the first time
            when it was sent last.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.again: dict[str, int] = {}
        self._newest = 0

    def note(self, letter: Letter, again: bool) -> None:
        """Note a letter that goes out; ``again`` as ``Outbox.take_due`` tells it."""
        if again:
            self.again[letter.correlation_id] = self._newest
        self._newest = max(self._newest, letter.sequence or 0)
