"""Which alerts an undisturbed run would have raised. Pure.

The rules of ``streams/rules`` are run over what the devices sent, in the order in which it stands in the raw topic, each message
at its first occurrence. That order, and not the order of measuring, is the input: a broker that dies after its PUBACK makes a
device send again, and what it sends again rightly comes behind what it measured later. A second pass through the real stack
would be the stronger reference, but takes as long as the run, and would have to forge the order of arrival; what it would
add, the shell around the rules, is what is under test. Readings are made from what the devices kept, not by the normaliser, so
that a value that was changed or lost on the way shows here, too. A vital of a subject comes from one device.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bench.chaos.load import Written
from contracts.alerts import Transition
from streams.rules.limits import RuleBook
from streams.rules.state import FlagState
from streams.rules.thresholds import judge


class Arrival(NamedTuple):
    """A message at its first occurrence in the raw topic: number within its device, and when it came."""

    sequence: int
    received_at: int


class Raised(NamedTuple):
    """An alert, as it is compared."""

    subject: str
    rule: str
    onset: int

    def __str__(self) -> str:
        return f"{self.subject} {self.rule} {self.onset}"


def expected(arrivals: Mapping[str, Iterable[Arrival]], subjects: Mapping[str, str], written: Written) -> set[Raised]:
    """Work out the alerts.

    Args:
        arrivals: by device key, its messages in the order of the raw topic.
        subjects: by device key whose it is.
        written: what the devices sent.

    Returns:
        Every alert that was raised.
    """
    book = RuleBook()
    found: set[Raised] = set()
    for device, messages in arrivals.items():
        state = FlagState()
        for offset, arrival in enumerate(messages):
            observations = written.observations(device, subjects[device], arrival.sequence, arrival.received_at)
            for one in judge(state, book, observations, "raw", offset, offset).transitions:
                if one.transition is Transition.RAISED:
                    found.add(Raised(one.subject, one.rule, one.onset))
    return found
