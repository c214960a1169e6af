"""What a run is asked for, and how it went; values only."""

from __future__ import annotations

from dataclasses import dataclass, field

OVERLOAD, FLOOD = "overload", "flood"
SERVERS = {"kafka": ("kafka",), "database": ("postgres",), "both": ("kafka", "postgres")}
"""By the word for it, the servers that are kept away."""
KINDS = (*SERVERS, OVERLOAD, FLOOD)


@dataclass(frozen=True)
class Options:
    """What a run is asked for.

    Attributes:
        kind: of ``KINDS``.
        seconds: how long it lasts; a flood, from when its device was first told to stop.
        rate: messages a second; 0 to find out how much fits, and take three times that in an overload, else a third. In a flood,
            that of all other devices together.
        devices: how many careful ones.
        careless: how many that trust the broker.
    """

    kind: str
    seconds: float
    rate: float = 200.0
    devices: int = 32
    careless: int = 32


@dataclass(frozen=True)
class Flooded:
    """What the device that floods sent, and what it was answered.

    Attributes:
        quota: messages a second that the bridge takes of a device over time.
        burst: messages it takes at once.
        sent: messages.
        seconds: from the first to the last of them.
        told_after: seconds from the first message to the first error; None where none came.
        answered_seconds: from the first message to the last receipt.
        told: errors by their code.
        told_others: errors that other devices were told, by their code.
    """

    quota: float
    burst: int
    sent: int
    seconds: float
    told_after: float | None
    answered_seconds: float
    told: dict[str, int]
    told_others: dict[str, int]

    @property
    def times(self) -> float:
        """How many times its quota the device sent."""
        return self.sent / max(self.seconds, 0.1) / self.quota

    @property
    def most(self) -> float:
        """Messages that may have been taken of it: the burst, and the quota for as long as any was taken."""
        return self.burst + self.quota * self.answered_seconds + 1


@dataclass
class Course:
    """How it went.

    Attributes:
        late: the longest delay shown, by process, in seconds.
        caught_up: seconds from the server's return until the store had caught up.
        recovered: of these, until the first new row.
        catch_up_rate: rows a second between the two.
        full_rate: messages a second that fit, where it was measured.
        rate: messages a second that were to be sent; in a flood, by all other devices together.
        offered: messages a second that devices had to send in an overload, written or held back.
        dropped: messages that the broker let fall, as the keeper counts them.
        refused: messages beyond their device's quota, as the bridge counts them.
        rejected: messages that the broker answered with a reason of failure.
        flooded: the flood, where there was one.
    """

    late: dict[str, float] = field(default_factory=dict)
    caught_up: float = 0.0
    recovered: float = 0.0
    catch_up_rate: float = 0.0
    full_rate: float = 0.0
    rate: float = 0.0
    offered: float = 0.0
    dropped: int = 0
    refused: int = 0
    rejected: int = 0
    flooded: Flooded | None = None

    @property
    def counted(self) -> int:
        """Messages that were published and did not arrive, as broker, bridge and keeper count them."""
        return self.dropped + self.refused + self.rejected
