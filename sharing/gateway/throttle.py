"""Holds back who guesses secrets, and who asks too often. Pure; time is a value."""

from __future__ import annotations

from collections import OrderedDict, deque
from threading import Lock

from contracts.instants import MINUTE, SECOND
from runtime.allowance import Allowances, Reminders

MOST_FAILURES = 5
WINDOW = MINUTE
MOST_CLIENTS = 10_000
LOG_SECONDS = 60.0
"""How often it is written down that somebody asks too often: a row for each request would be a flood of its own."""


class RequestLimit:
    """Counts requests, by whoever makes them.

    Args:
        per_second: over time.
        burst: at once.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._allowances = Allowances(per_second, burst, MOST_CLIENTS)
        self._written = Reminders(LOG_SECONDS, MOST_CLIENTS)
        self._lock = Lock()

    def wait_seconds(self, who: str, at: float) -> float:
        """Count a request.

        Args:
            who: makes it.
            at: seconds of a clock that never goes back.

        Returns:
            0 when it may go on, else the seconds after which another may.
        """
        with self._lock:
            return self._allowances.take(who, 1, at)

    def to_be_written(self, who: str, at: float) -> bool:
        """Tell whether a refusal is to be put on record now."""
        with self._lock:
            return self._written.due(who, at)


class FailureThrottle:
    """Counts failures per client over the last minute.

    The client includes the address it comes from, so that nobody else can lock an app out.
    """

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], deque[int]] = OrderedDict()
        self._lock = Lock()

    def wait_seconds(self, client: tuple[str, str], now: int) -> int:
        """Tell how long a client has to wait.

        Args:
            client: client id and address.
            now: the present, microseconds.

        Returns:
            Whole seconds, 0 when it may try.
        """
        with self._lock:
            failures = self._failures.get(client)
            if failures is None:
                return 0
            while failures and failures[0] <= now - WINDOW:
                failures.popleft()
            if len(failures) < MOST_FAILURES:
                return 0
            return (failures[0] + WINDOW - now) // SECOND + 1

    def failed(self, client: tuple[str, str], now: int) -> None:
        """Count a failure."""
        with self._lock:
            self._failures.setdefault(client, deque(maxlen=MOST_FAILURES)).append(now)
            self._failures.move_to_end(client)
            while len(self._failures) > MOST_CLIENTS:
                self._failures.popitem(last=False)
