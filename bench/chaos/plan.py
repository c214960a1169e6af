"""What happens when: a pure function of seed, number of faults, length and choice of parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Generic, TypeVar

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
        alone: whether it is measured: nothing else goes wrong until all goes on after it.
    """

    number: int
    at: float
    kind: Kind
    target: str
    seconds: float = 0.0
    alone: bool = False

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.kind} {self.target}{lasting}"


PLAN_VERSION = 2
"""Raised whenever the same arguments give another plan, so that a kept report is not held against a plan it never followed."""
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
    "bridge-2-mosquitto",
    "bridge-kafka",
    "bridge-2-kafka",
    "streams-kafka",
    "streams-2-kafka",
    "store-kafka",
    "store-2-kafka",
    "router-kafka",
    "router-2-kafka",
    "keeper-kafka",
    "keeper-2-kafka",
    "store-postgres",
    "store-2-postgres",
    "router-postgres",
    "router-2-postgres",
    "keeper-postgres",
    "keeper-2-postgres",
    "gateway-kafka",
    "gateway-postgres",
)
PARTS = (*PROCESSES, "links")
LEAD_SECONDS = 4.0
"""Before the first fault, so that every partition has a past."""
_PROCESS_KINDS: Mapping[Kind, int] = {Kind.KILL: 5, Kind.FREEZE: 4, Kind.RESTART: 2}
_LINK_KINDS: Mapping[Kind, int] = {Kind.CUT: 3, Kind.SLOW: 2}
_LASTING = {Kind.FREEZE: (2.0, 15.0), Kind.CUT: (1.0, 8.0), Kind.SLOW: (3.0, 10.0)}
LINKS_WEIGHT = 4
"""So many of each round of faults hit a link, while each other part is hit once: there are more links than processes."""
COVERING = 200
"""So many faults let each process and each link meet each kind that it can meet, whatever the seed."""
ALONE_SECONDS = 20.0
"""So long nothing else begins where a fault is measured."""
ALONE_LASTS = 6.0
"""No longer does such a fault last."""
ALONE_EVERY = 6
"""At most one of so many faults is measured; of 200, one of each kind of each part and of each server's connections."""
ALONE_GROUPS = 33
DENSE_SECONDS = 6.0
T = TypeVar("T")


class _Deck(Generic[T]):
    """Deals cards that are shuffled anew whenever all are dealt, one of each before any comes again."""

    def __init__(self, cards: Mapping[T, int], chance: Random) -> None:
        """Prepare it.

        Args:
            cards: each with how many there are of it.
            chance: where the order comes from.
        """
        self._cards = cards
        self._chance = chance
        self._left: list[T] = []

    def draw(self) -> T:
        """Deal one."""
        if not self._left:
            further = [card for card, count in self._cards.items() for _ in range(count - 1)]
            one_of_each = list(self._cards)
            self._chance.shuffle(further)
            self._chance.shuffle(one_of_each)
            self._left = further + one_of_each  # dealt from the end
        return self._left.pop()


class _Decks:
    """All that a plan is dealt from: parts, what belongs to each, and what happens to each process and link."""

    def __init__(self, only: Collection[str], chance: Random) -> None:
        """Shuffle them; takes parts that exist."""
        members = {part: PROCESSES.get(part) or _links(only) for part in _chosen(only)}
        weights = {part: LINKS_WEIGHT if part == "links" else 1 for part in members}
        self._parts = _Deck({(part, number): 1 for part, weight in weights.items() for number in range(weight)}, chance)
        self._targets = {part: _Deck(dict.fromkeys(names, 1), chance) for part, names in members.items()}
        self._kinds = {
            name: _Deck(_LINK_KINDS if part == "links" else _PROCESS_KINDS, chance) for part in members for name in members[part]
        }

    def draw(self) -> tuple[str, Kind]:
        """Deal a target, and what is done to it."""
        part, _ = self._parts.draw()
        target = self._targets[part].draw()
        return target, self._kinds[target].draw()


def twin_of(link: str) -> str | None:
    """Give the link over which the other one of two equal processes does the same; None where there is none."""
    client, _, server = link.rpartition("-")
    other = f"{client.removesuffix('-2') if client.endswith('-2') else client + '-2'}-{server}"
    return other if other in LINKS else None


def least_seconds(kills: int) -> float:
    """Tell how long a run with so many faults should last: some ten a minute, so that one recovers beside the next."""
    alone = min(kills // ALONE_EVERY, ALONE_GROUPS)
    return LEAD_SECONDS + DENSE_SECONDS * (kills - alone) + ALONE_SECONDS * alone + 6.0


def plan(seed: int, kills: int, seconds: float, only: Collection[str] = ()) -> tuple[Fault, ...]:
    """Choose faults, spread over the run, over the parts, and over what can happen to each.

    Each process and each link meets each of its kinds before one comes again, and then as often as weights say. Some come first
    and alone, so that it shows how soon all goes on after each; the others come densely, and beside each other.

    Args:
        seed: the same seed, with the other arguments, gives the same plan.
        kills: how many faults, from 0.
        seconds: length of the load; no fault begins in its last tenth, and at most half of it is for faults that come alone.
        only: parts to disturb, of ``PARTS``; all of them where empty.

    Returns:
        The faults in the order of ``at``.

    Raises:
        Misconfigured: naming a part that does not exist.
    """
    unknown = set(only) - set(PARTS)
    if unknown:
        raise Misconfigured(f"--only knows no {', '.join(sorted(unknown))}: it takes {', '.join(PARTS)}, joined by commas")
    chance = Random(f"{seed}/{kills}/{seconds}/{','.join(sorted(only))}")  # noqa: S311 - reproducible on purpose
    decks = _Decks(only, chance)
    span = max(0.0, 0.9 * seconds - LEAD_SECONDS)
    alone, rest = _split([decks.draw() for _ in range(kills)], min(kills // ALONE_EVERY, int(span / 2 / ALONE_SECONDS)))
    dense = LEAD_SECONDS + ALONE_SECONDS * len(alone)
    slot = (span - ALONE_SECONDS * len(alone)) / max(1, len(rest))
    starts = [LEAD_SECONDS + ALONE_SECONDS * place for place in range(len(alone))]
    starts += [dense + slot * (place + chance.random()) for place in range(len(rest))]
    found: list[Fault] = []
    for number, (at, (target, kind)) in enumerate(zip(starts, alone + rest, strict=True), 1):
        lasting = chance.uniform(*_LASTING[kind]) if kind in _LASTING else 0.0
        if number <= len(alone):
            lasting = min(lasting, ALONE_LASTS)
        found.append(Fault(number, round(at, 2), kind, target, round(lasting, 2), number <= len(alone)))
    return tuple(found)


def _split(dealt: list[tuple[str, Kind]], most: int) -> tuple[list[tuple[str, Kind]], list[tuple[str, Kind]]]:
    """Take out what is to be measured: the first of each kind at each part and at each server's connections, up to a number."""
    alone: dict[tuple[str, Kind], tuple[str, Kind]] = {}
    rest: list[tuple[str, Kind]] = []
    for target, kind in dealt:
        group = target.rpartition("-")[2] if target in LINKS else target.removesuffix("-2"), kind
        if group in alone or len(alone) >= most:
            rest.append((target, kind))
        else:
            alone[group] = target, kind
    return list(alone.values()), rest


def _chosen(only: Collection[str]) -> list[str]:
    if not only:
        return list(PARTS)
    parts = [part for part in PARTS if part in only]
    return parts if "links" in parts or not _links(only) else [*parts, "links"]


def _links(only: Collection[str]) -> tuple[str, ...]:
    """Give the links that end at a chosen part; all of them where links were chosen, or nothing was."""
    if not only or "links" in only:
        return LINKS
    return tuple(link for link in LINKS if set(link.split("-")) & set(only))
