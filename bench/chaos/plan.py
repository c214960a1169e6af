"""What happens when: a pure function of seed, number of faults, length and choice of parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from contracts.errors import Misconfigured


class Kind(StrEnum):
    """What is done to a part."""

    KILL = "kill"
    """SIGKILL; it is started again as the supervisor does."""
    FREEZE = "freeze"
    """SIGSTOP, and SIGCONT after some seconds: by then others may have taken its place."""
    RESTART = "restart"
    """Asked to end in good order, and started again."""
    CUT = "cut"
    """A connection is reset, and refused for some seconds."""
    SLOW = "slow"
    """All that a connection carries is delayed for some seconds."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        number: 1, 2, …
        at: seconds from the start of the load.
        kind: what.
        target: a process, a server, or for ``cut`` and ``slow`` a link, as ``store-postgres``.
        seconds: how long it lasts; 0 for ``kill`` and ``restart``.
    """

    number: int
    at: float
    kind: Kind
    target: str
    seconds: float = 0.0

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.kind} {self.target}{lasting}"


PROCESSES: Mapping[str, tuple[str, ...]] = {
    "bridge": ("bridge", "bridge-2"),
    "streams": ("streams", "streams-2"),
    "store": ("store", "store-2"),
    "router": ("router", "router-2"),
    "gateway": ("gateway",),
    "keeper": ("keeper", "keeper-2"),
    "mosquitto": ("mosquitto",),
    "kafka": ("kafka",),
    "postgres": ("postgres",),
}
"""By part, the processes that make it up. The second bridge stands by, since one has the broker's session."""
LINKS = (
    "devices-mosquitto",
    "bridge-mosquitto",
    "bridge-kafka",
    "streams-kafka",
    "store-kafka",
    "router-kafka",
    "keeper-kafka",
    "gateway-kafka",
    "store-postgres",
    "router-postgres",
    "keeper-postgres",
    "gateway-postgres",
)
PARTS = (*PROCESSES, "links")
LEAD_SECONDS = 4.0
"""Before the first fault, so that every partition has a past."""
_PROCESS_KINDS = ((Kind.KILL, 5), (Kind.FREEZE, 4), (Kind.RESTART, 2))
_LINK_KINDS = ((Kind.CUT, 3), (Kind.SLOW, 2))
_LASTING = {Kind.FREEZE: (2.0, 15.0), Kind.CUT: (1.0, 8.0), Kind.SLOW: (3.0, 10.0)}
LINKS_WEIGHT = 3
"""So many of each round of faults hit a link, while each other part is hit once."""


def least_seconds(kills: int) -> float:
    """Tell how long a run with so many faults should last: some ten a minute, so that one recovers beside the next."""
    return LEAD_SECONDS + 6.0 * kills + 6.0


def plan(seed: int, kills: int, seconds: float, only: Collection[str] = ()) -> tuple[Fault, ...]:
    """Choose faults, spread over the run and over the parts.

    Args:
        seed: the same seed, with the other arguments, gives the same plan.
        kills: how many faults, from 0.
        seconds: length of the load; no fault begins in its last tenth.
        only: parts to disturb, of ``PARTS``; all of them where empty.

    Returns:
        The faults in the order of ``at``.

    Raises:
        Misconfigured: naming a part that does not exist.
    """
    chosen = _chosen(only)
    chance = Random(f"{seed}/{kills}/{seconds}/{','.join(sorted(only))}")  # noqa: S311 - reproducible on purpose
    slot = max(0.0, 0.9 * seconds - LEAD_SECONDS) / max(1, kills)
    found: list[Fault] = []
    deck: list[str] = []
    for number in range(kills):
        if not deck:
            deck = [part for part in chosen for _ in range(LINKS_WEIGHT if part == "links" else 1)]
            chance.shuffle(deck)
        target, kinds = _target(deck.pop(), only, chance)
        kind = chance.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
        at = LEAD_SECONDS + slot * (number + chance.random())
        lasting = chance.uniform(*_LASTING[kind]) if kind in _LASTING else 0.0
        found.append(Fault(number + 1, round(at, 2), kind, target, round(lasting, 2)))
    return tuple(found)


def _chosen(only: Collection[str]) -> list[str]:
    unknown = set(only) - set(PARTS)
    if unknown:
        raise Misconfigured(f"--only knows no {', '.join(sorted(unknown))}: it takes {', '.join(PARTS)}, joined by commas")
    if not only:
        return list(PARTS)
    parts = [part for part in PARTS if part in only]
    return parts if "links" in parts or not _links(only) else [*parts, "links"]


def _links(only: Collection[str]) -> tuple[str, ...]:
    """Give the links that end at a chosen part; all of them where links were chosen, or nothing was."""
    if not only or "links" in only:
        return LINKS
    return tuple(link for link in LINKS if set(link.split("-")) & set(only))


def _target(part: str, only: Collection[str], chance: Random) -> tuple[str, tuple[tuple[Kind, int], ...]]:
    if part == "links":
        return chance.choice(_links(only)), _LINK_KINDS
    return chance.choice(PROCESSES[part]), _PROCESS_KINDS
