"""What a run was asked for, and what it shows while it lasts."""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import dataclass, field

from bench.chaos.plants import Plant


@dataclass(frozen=True)
class Options:
    """What the command was asked for.

    Attributes:
        kills: faults.
        seconds: length of the load.
        seed: of plan and values.
        only: parts to disturb; all where empty.
        rate: messages a second of all devices together, on the average of quiet and busy phases, above 0.
        people: patients who stay, three devices each; those who withdraw come to them.
        plants: what to do wrong on purpose.
    """

    kills: int
    seconds: float
    seed: int
    only: tuple[str, ...] = ()
    rate: float = 200.0
    people: int = 12
    plants: tuple[Plant, ...] = ()


@dataclass
class Observed:
    """What the display shows and the report holds.

    Attributes:
        phase: what is being done.
        begun: ``time.monotonic`` at the start of the load.
        said: what happened, newest last.
        planted: what was done wrong on purpose.
        calm_until: when the first fault began, microseconds.
        drained: whether every message got its receipt.
    """

    phase: str = ""
    begun: float = field(default_factory=time.monotonic)
    said: deque[str] = field(default_factory=lambda: deque(maxlen=1000))
    planted: list[str] = field(default_factory=list)
    calm_until: int = sys.maxsize
    drained: bool = False

    @property
    def elapsed(self) -> float:
        """Seconds since the start of the load."""
        return time.monotonic() - self.begun

    def tell(self, words: str) -> None:
        """Note what happens, with its time."""
        self.said.append(f"{self.elapsed:6.1f} s  {words}")
