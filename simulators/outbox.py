"""A device's memory: what it wrote stays until the platform has answered for it. Pure; the clock is handed in."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.misbehaviour import Letter

RESEND_SECONDS = 5.0
"""How long after a letter was handed to the broker it is sent again; doubled each time."""
RESEND_LIMIT_SECONDS = 60.0
LOOK_SECONDS = 0.5
"""So often it looks through all letters at most while receipts come: each of them can tell which others are lost."""


@dataclass(slots=True)
class _Entry:
    letter: Letter
    sent: int = 0
    handed: bool = False
    """On the present connection and not yet acknowledged by the broker: sending it again would only pile it up."""
    due: float = 0.0
    first: int = 0
    """Which of all sendings of this device was its first; 0 before that."""
    last: int = 0


class Outbox:
    """Letters without an answer, oldest first.

    A sparing one sends again only what must be lost. The platform takes what a device sent in its order, so a letter is lost when
    one that was sent after it has its receipt; while nothing is answered at all, only the oldest letter asks whether anything is
    again. A device that sends again whatever has waited long enough fills the broker with repeats while the platform is away:
    there is less room for what others measure, and more to do for a platform that catches up.
    (TCP tells losses like this: RFC 8985, section 3.)

    Args:
        capacity: how many it holds, at least 1; a full device writes nothing new.
        resend_seconds: wait before the second sending, above 0.
        sparing: send again only what must be lost; else whatever has waited long enough.
    """

    def __init__(self, capacity: int, resend_seconds: float = RESEND_SECONDS, sparing: bool = True) -> None:
        self._capacity = capacity
        self._resend_seconds = resend_seconds
        self._sparing = sparing
        self._entries: dict[str, _Entry] = {}
        self._new: list[_Entry] = []
        self._nothing_before = 0.0
        self._sendings = 0
        self._answered = _Answered()

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
        entry = _Entry(letter)
        self._entries[letter.correlation_id] = entry
        self._new.append(entry)

    def take_due(self, now: float) -> list[tuple[Letter, bool]]:
        """Take what is to be sent now; each is then in the hands of the connection.

        Args:
            now: seconds of a clock that never goes back.

        Returns:
            Letters, oldest first, and whether each was sent before.
        """
        taken = self._take_again(now) if now >= self._nothing_before else []
        taken += [self._send(entry, now) for entry in self._new if entry.letter.correlation_id in self._entries]
        self._new.clear()
        return taken

    def _take_again(self, now: float) -> list[tuple[Letter, bool]]:
        taken, waiting = [], [float("inf")]
        oldest = next(iter(self._entries.values()), None)
        for entry in self._entries.values():
            if entry.sent and not entry.handed:
                due = entry.due if entry is oldest else self._due(entry)
                if due <= now:
                    taken.append(self._send(entry, now))
                else:
                    waiting.append(due)
        self._nothing_before = min(waiting)
        return taken

    def _due(self, entry: _Entry) -> float:
        """Tell when a letter is to be sent again, by what is known now."""
        if not self._sparing or not entry.due or entry.last < self._answered.surely:
            return entry.due
        if entry.last < self._answered.perhaps:
            return max(entry.due, self._answered.at + self._resend_seconds)
        return float("inf")

    def _send(self, entry: _Entry, now: float) -> tuple[Letter, bool]:
        self._sendings += 1
        entry.handed = True
        entry.sent += 1
        entry.due = now + min(self._resend_seconds * 2 ** (entry.sent - 1), RESEND_LIMIT_SECONDS)
        entry.first, entry.last = entry.first or self._sendings, self._sendings
        return entry.letter, entry.sent > 1

    def acknowledged(self, correlation_id: str) -> None:
        """Note that the broker has it. That is no receipt: the letter is due again when its wait is over."""
        entry = self._entries.get(correlation_id)
        if entry is not None and entry.handed:
            entry.handed = False
            self._nothing_before = min(self._nothing_before, entry.due)

    def receipted(self, correlation_id: str, now: float) -> Letter | None:
        """Forget a letter that has its receipt, and take it for a sign that all sent before it was taken or lost.

        Args:
            correlation_id: of the letter.
            now: as for ``take_due``.

        Returns:
            The letter, or None when it is not here (answered before, or never ours).
        """
        entry = self._entries.get(correlation_id)
        if entry is not None:
            self._answered.note(entry.first, entry.last, now)
            self._nothing_before = min(self._nothing_before, now + LOOK_SECONDS)
        return self._forget(correlation_id)

    def settle(self, correlation_id: str) -> Letter | None:
        """Forget a letter that was answered, or that nobody will ever take.

        Returns:
            The letter, or None when it is not here (answered before, or never ours).
        """
        self._nothing_before = 0.0
        return self._forget(correlation_id)

    def _forget(self, correlation_id: str) -> Letter | None:
        entry = self._entries.pop(correlation_id, None)
        return None if entry is None else entry.letter

    def connection_lost(self) -> None:
        """Whatever the broker had not acknowledged is due at once on the next connection."""
        for entry in self._entries.values():
            if entry.handed:
                entry.handed = False
                entry.due = 0.0
        self._nothing_before = 0.0


@dataclass(slots=True)
class _Answered:
    """How far receipts show that the platform has come among the sendings of a device."""

    surely: int = 0
    """The first sending of a letter with a receipt: those before it are taken or lost."""
    perhaps: int = 0
    """Its last sending, which may still lie in the broker while an earlier one was answered: true once receipts stop coming."""
    at: float = 0.0

    def note(self, first: int, last: int, now: float) -> None:
        self.surely, self.perhaps, self.at = max(self.surely, first), max(self.perhaps, last), now


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
