"""How fast the devices publish: long quiet phases and short busy ones, the same for all devices. Pure and seeded.

At an even rate a raw record holds one message, and no fault ever meets a record of many. In a busy phase each device measures
several times faster than on average and writes volleys, as one that had stored its readings does.
"""

from __future__ import annotations

from bisect import bisect_right
from random import Random

from contracts.instants import SECOND

QUIET_SECONDS = (6.0, 18.0)
BUSY_SECONDS = (2.0, 6.0)
BUSY_TIMES = 3.0
"""So many times the mean rate in a busy phase, which is a quarter of the time."""
QUIET_TIMES = 1.0 / 3.0
"""And so in a quiet one, so that the mean is what was asked for."""
VOLLEY = 6
"""Messages that a device writes at once in a busy phase."""
VOLLEY_GAP = 2000
"""Microseconds between two of them: devices write milliseconds, and each message has an instant of its own."""


class Pace:
    """When it is quiet and when busy.

    Attributes:
        calm: 1; above, how many times longer all devices wait for their next message, and nobody is busy.
    """

    def __init__(self, seed: int, start: int) -> None:
        """Prepare it.

        Args:
            seed: of the run.
            start: microseconds; the first phase is a quiet one.
        """
        self.calm = 1.0
        self._chance = Random(f"{seed}/pace")  # noqa: S311 - reproducible on purpose
        self._turns = [start]

    def busy(self, at: int) -> bool:
        """Tell whether an instant, microseconds, is in a busy phase."""
        while self._turns[-1] <= at:
            lasting = QUIET_SECONDS if len(self._turns) % 2 else BUSY_SECONDS
            self._turns.append(self._turns[-1] + round(self._chance.uniform(*lasting) * SECOND))
        return self.calm == 1.0 and at >= self._turns[0] and bisect_right(self._turns, at) % 2 == 0

    def volley(self, at: int) -> int:
        """Tell how many messages a device writes at once."""
        return VOLLEY if self.busy(at) else 1

    def stretch(self, at: int) -> float:
        """Tell how many times longer than on average a device waits for a message."""
        if self.calm > 1.0:
            return self.calm
        return 1.0 / (BUSY_TIMES if self.busy(at) else QUIET_TIMES)
