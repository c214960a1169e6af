"""What an outage or an overload cost, and which of the promises held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bench.check import Check
from bench.outage.flood import LEAST_TIMES
from bench.outage.options import SERVERS, Course, Flooded, Options
from bench.outage.verdict import Compared
from bench.watching import MIB, Watched
from contracts.errors import Code
from storage.ledger import Closing

CATCH_UP_TIMES = 3.0
QUEUE_MIB = 160
"""What the broker may keep for the bridge in the profile of the demo."""
GROWTH_MIB = 96
"""What one of our processes may grow by: the bridge holds 64 MiB of unconfirmed messages at most."""
TOLD_MIB = 2
DELAYED_SECONDS = 2.0
"""A receipt that takes longer tells a device to slow down."""
OVERCOUNTED_PART = 0.01
"""By so much of what was published more may be counted than did not arrive: a session that is taken up again brings some messages
twice, so that more arrives, and the broker counts what it lets fall on the way to devices, too. Less may never be counted."""
FAIR_PART = 0.5
ALLOWED_PART = 0.5
"""Of what its quota allows it beyond its burst, so much must be taken of a device that floods."""
RECEIPT_SECONDS = 5.0
RECEIPTS = "receipts of careful devices come in time"
OFFERED = "as much is offered as was meant"
OFFERED_PART = 0.9
CATCH_UP = "it catches up three times as fast as messages come"
SHOWN_PART = 0.5


@dataclass(frozen=True)
class Found:
    """Everything a run found.

    Attributes:
        options: what was asked for.
        course: how it went.
        compared: devices and store.
        complete: whether every careful device has all its receipts.
        closing: the ledger at the end.
        received: messages that came to be in it during the run.
        watched: memory.
        restarted: processes that are others than at the start.
    """

    options: Options
    course: Course
    compared: Compared
    complete: bool
    closing: Closing
    received: int
    watched: Watched
    restarted: tuple[str, ...]

    def checks(self) -> Iterator[Check]:
        """Judge each promise."""
        found = self.compared
        yield Check("nothing with a receipt is lost", found.receipted_lost == 0, f"{found.receipted_lost} of {found.sent} sent")
        yield Check(
            "careful devices lose nothing",
            found.careful_lost == 0 and self.complete,
            f"{found.careful_lost} lost, {found.resent} sent again",
        )
        yield Check("what is stored is right, and there once", found.wrong == 0, f"{found.stored} stored, {found.wrong} wrong")
        closing = self.closing
        yield Check("the ledger is closed", closing.closed, f"difference {closing.difference}, in flight {closing.in_flight}")
        fallen = found.published - self.received
        course = self.course
        yield Check(
            "what the broker let fall, or the bridge refused, is counted",
            0 <= course.counted - fallen <= OVERCOUNTED_PART * found.published,
            f"{found.published} published, {self.received} received: {fallen} fell; {course.dropped} let fall for want of room, "
            f"{course.refused} refused beyond their device's quota, {course.rejected} by the broker; "
            f"{found.careless_lost} lost, of devices without receipts",
        )
        servers = SERVERS.get(self.options.kind, ())
        ours = [name for name in self.restarted if name not in servers]
        yield Check("none of the other processes died", not ours, ", ".join(ours) or "none")
        grown = {name: (self.watched.most[name] - size) // MIB for name, size in self.watched.before.items()}
        over = [name for name, size in grown.items() if size > _most(name)]
        yield Check(
            "memory stays bounded",
            not over,
            ", ".join(f"{name} +{size} MiB" for name, size in grown.items() if size > 2) or "flat",
        )
        if servers:
            yield from self._outage_checks()
        elif course.flooded:
            yield from self._flood_checks(course.flooded)
        else:
            yield from self._overload_checks()

    def _overload_checks(self) -> Iterator[Check]:
        found, course = self.compared, self.course
        fits = f"; {course.full_rate:.0f} fit" if course.full_rate else ""
        enough = course.offered >= OFFERED_PART * course.rate
        yield Check(OFFERED, enough, f"{course.offered:.0f} of {course.rate:.0f} a second{fits}")
        yield Check(
            "back-pressure reaches the devices",
            found.held_back > 0 or found.receipt_seconds > DELAYED_SECONDS,
            f"{found.held_back} messages held back, the longest wait for a receipt {found.receipt_seconds:.1f} s",
        )
        yield Check(
            "careful devices share what fits",
            found.fairness >= FAIR_PART,
            f"of the careful device with the fewest {found.fairness:.0%} of the middle one's messages are stored",
        )

    def _flood_checks(self, flood: Flooded) -> Iterator[Check]:
        found = self.compared
        others = found.careful_lost + found.careless_lost
        yield Check("the other devices lose nothing", others == 0, f"{others} lost, at {self.course.rate:.0f} messages a second")
        yield Check("no other device is held back", found.held_back == 0, f"{found.held_back} messages held back")
        yield Check(
            RECEIPTS,
            found.receipt_p99 <= RECEIPT_SECONDS,
            f"99 of 100 within {found.receipt_p99:.2f} s ({found.arrival_p99:.2f} until the bridge had the message), "
            f"the last of all other devices within {found.receipt_seconds:.1f} s",
        )
        yield Check(
            "one device floods",
            flood.times >= LEAST_TIMES,
            f"{flood.sent} messages in {flood.seconds:.0f} s, {flood.times:.1f} times its quota of {flood.quota:g} a second",
        )
        told, errors = flood.told.get(Code.RATE_EXCEEDED, 0), sum(flood.told.values())
        after = "never" if flood.told_after is None else f"first after {flood.told_after:.1f} s"
        yield Check(
            "it is told why, and nobody else is told anything",
            flood.told_after is not None and told == errors and not flood.told_others,
            f"{told} times {Code.RATE_EXCEEDED}, {after}; others {flood.told_others or 'nothing'}",
        )
        taken = flood.sent - found.flooder_lost
        least = flood.burst + ALLOWED_PART * flood.quota * (flood.seconds - (flood.told_after or 0.0))
        yield Check(
            "its quota is taken of it, and no more",
            least <= taken <= flood.most,
            f"{taken} taken; its quota is {flood.most:.0f}, a burst of {flood.burst} and {flood.quota:g} a second",
        )

    def _outage_checks(self) -> Iterator[Check]:
        shown = max(self.course.late.values(), default=0.0)
        late = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.course.late.items())
        yield Check("the delay is shown meanwhile", shown >= SHOWN_PART * self.options.seconds, f"at most {late}")
        times = self.course.catch_up_rate / self.course.rate
        yield Check(CATCH_UP, times >= CATCH_UP_TIMES, f"{times:.1f} times, begun after {self.course.recovered:.1f} s")

    def as_dict(self) -> dict[str, Any]:
        """Give everything for a report in JSON."""
        checks = list(self.checks())
        return {
            "passed": all(check.passed for check in checks),
            "checks": [check._asdict() for check in checks],
            "options": asdict(self.options),
            "course": asdict(self.course),
            "compared": asdict(self.compared),
            "memory": self.watched.report(),
            "ledger": {"received": self.closing.received, "stored": self.closing.stored, "duplicate": self.closing.duplicate},
        }


def _most(name: str) -> int:
    return {"mosquitto": QUEUE_MIB + 32, "kafka": 256, "postgres": 512}.get(name, GROWTH_MIB)
