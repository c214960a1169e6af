"""How much somebody may do at once, and how much over time. Pure; time is a value.

A token bucket, kept as one number for each: the instant at which the bucket would be full again (the generic cell rate algorithm,
ITU-T I.371). Who has not been heard of for a while needs no entry.
"""

from __future__ import annotations

MOST_REMEMBERED = 100_000
ROUNDING_SECONDS = 1e-6
"""Sums of fractions are not exact; the last of a burst must not be refused for it."""


class Allowances:
    """The buckets of everybody, all of the same size.

    Args:
        rate: what flows in each second, above 0.
        burst: what a full bucket holds, above 0.
        remembered: buckets that are kept; beyond it those that are full are forgotten, and if that is not enough, all.
    """

    def __init__(self, rate: float, burst: float, remembered: int = MOST_REMEMBERED) -> None:
        self._seconds_each = 1 / rate
        self._depth = burst / rate
        self._remembered = remembered
        self._full_at: dict[str, float] = {}

    def take(self, who: str, amount: float, now: float) -> float:
        """Take from somebody's bucket, all or nothing.

        Args:
            who: whose.
            amount: how much, at most the burst.
            now: seconds of a clock that never goes back.

        Returns:
            0 when it was taken, else the seconds until there will be enough.
        """
        full_at = self._full_at.get(who, now)
        if full_at < now:
            full_at = now
        full_at += amount * self._seconds_each
        missing = full_at - now - self._depth
        if missing > ROUNDING_SECONDS:
            return missing
        self._full_at[who] = full_at
        if len(self._full_at) > self._remembered:
            self._forget(now)
        return 0.0

    def __len__(self) -> int:
        """Count the buckets that are kept."""
        return len(self._full_at)

    def _forget(self, now: float) -> None:
        self._full_at = {who: full_at for who, full_at in self._full_at.items() if full_at > now}
        if len(self._full_at) > self._remembered // 2:
            self._full_at.clear()  # rather too generous for a moment than a look through all of them at each new one


class Reminders:
    """Lets somebody be told the same thing only now and then.

    Args:
        seconds: least time between two tellings.
        remembered: how many are kept; beyond it all are forgotten, and told again.
    """

    def __init__(self, seconds: float, remembered: int = MOST_REMEMBERED) -> None:
        self._seconds = seconds
        self._remembered = remembered
        self._told: dict[str, float] = {}

    def due(self, who: str, now: float) -> bool:
        """Tell whether it is time; if so it is taken as told."""
        told = self._told.get(who)
        if told is not None and now - told < self._seconds:
            return False
        if len(self._told) >= self._remembered:
            self._told.clear()
        self._told[who] = now
        return True
