"""Who sends what: patients, their devices, and values that cross limits again and again. Pure and seeded.

What a device is given to send is kept beside it, so that afterwards each stored value can be held against what was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from bench.chaos.pace import VOLLEY_GAP, Pace
from catalogue.registry import BY_CODE
from contracts.ids import observation_id
from contracts.instants import SECOND
from contracts.observation import Observation, Quality
from simulators.messages import DueMessage, PanelReading, Reading, reading
from simulators.misbehaviour import Misbehaviour

ORG = "chaos-clinic"
STRANGER = "chaos-1"
"""A patient who shares with nobody."""
APPS: Mapping[str, tuple[str, ...]] = {
    "chaos-heart": ("8867-4", "8480-6", "8462-4", "8478-0"),
    "chaos-breath": ("59408-5", "8310-5"),
}
"""By app, the vitals it asks for."""
MODELS: Mapping[str, tuple[str, ...]] = {
    "agora-oximeter": ("8867-4", "59408-5"),
    "agora-thermometer": ("8310-5",),
    "agora-cuff": ("8480-6", "8462-4", "8478-0"),
}
"""By device model, the vitals a device of it sends. One device a vital and patient, so that their order is one device's."""
PANEL = "85354-9"
LEVELS: Mapping[str, tuple[float, float, float]] = {
    "8867-4": (72.0, 118.0, 136.0),
    "59408-5": (97.0, 93.0, 90.0),
    "8310-5": (36.8, 38.6, 39.9),
    "8480-6": (124.0, 186.0, 224.0),
    "8462-4": (78.0, 113.0, 123.0),
    "8478-0": (93.0, 137.0, 157.0),
}
"""By vital: within its limits, beyond the warning, beyond the critical limit (``catalogue/entries``)."""
LATE_AFTER = 300 * SECOND
"""``late_after_seconds`` of these models."""
SPREAD = 0.01
OUTLIERS = 0.01
"""Share of readings that are beyond a limit alone, between two that are not."""
SHORT_SECONDS = (3.0, 12.0)
LONG_SECONDS = (20.0, 70.0)
PERSISTENT = ("8867-4", "59408-5")
"""Vitals whose limits want half a minute outside before they alert: their spells are longer."""
GARBAGE = Misbehaviour(garbage=0.02, duplicates=0.03, seed=1)
REPEATS = Misbehaviour(duplicates=0.05, seed=2)


@dataclass(frozen=True)
class Person:
    """A patient.

    Attributes:
        subject: name in the registry.
        shares_with: apps with a consent from the beginning.
        withdraws_from: app from which it may be withdrawn on the way, or empty.
    """

    subject: str
    shares_with: tuple[str, ...]
    withdraws_from: str = ""


def people(count: int, withdrawals: int) -> tuple[Person, ...]:
    """Make the patients.

    Args:
        count: who stay, at least 4.
        withdrawals: who withdraw from one app on the way, as many of the one as of the other.

    Returns:
        Of those who stay, the second, and each fifth from there, shares with nobody; the others share. Then those who withdraw.
    """
    apps = tuple(APPS)
    shares = (apps, apps[:1], apps[1:])
    stay = [Person(f"chaos-{number}", () if number % 5 == 1 else shares[number % 3]) for number in range(count)]
    leave = [Person(f"chaos-{count + number}", apps, withdraws_from=apps[number % 2]) for number in range(withdrawals)]
    return (*stay, *leave)


def device_name(person: Person, model: str) -> str:
    """Name a patient's device."""
    return f"{person.subject}-{model.removeprefix('agora-')}"


class Value(NamedTuple):
    """One value as a device sent it, under its identity within the device.

    Attributes:
        vital: LOINC code.
        site: method or body site.
        time: ``device_time``, microseconds.
        sequence: number of its message.
    """

    vital: str
    site: str
    time: int
    sequence: int


class Written:
    """Keeps what devices are given to send: by device key and sequence the readings with their values."""

    def __init__(self) -> None:
        """Begin empty."""
        self._messages: dict[str, list[DueMessage]] = {}

    def through(self, key: str, messages: Iterable[DueMessage]) -> Iterator[DueMessage]:
        """Pass a device's messages on and keep them; the device numbers them from 1."""
        kept = self._messages.setdefault(key, [])
        for message in messages:
            kept.append(message)
            yield message

    def values(self, key: str, sequence: int) -> list[tuple[Value, float]]:
        """Give what a message said, a panel's components one by one.

        Args:
            key: of the device.
            sequence: of the message.
        """
        message = self._messages[key][sequence - 1]
        time = -(-message.due // 1000) * 1000  # devices write milliseconds, rounded up
        return [(Value(one.code, one.site, time, sequence), one.value) for one in _flat(message)]

    def observations(self, key: str, subject: str, sequence: int, received_at: int) -> list[Observation]:
        """Make of a message what the platform should make of it.

        Args:
            key: of the device.
            subject: whose it is.
            sequence: of the message.
            received_at: when it came, microseconds.
        """
        org, device = key.split("/")
        return [
            Observation(
                id=observation_id(org, device, one.vital, one.site, one.time, one.sequence),
                org=org,
                device=device,
                subject=subject,
                vital=one.vital,
                site=one.site,
                value=value,
                unit=BY_CODE[one.vital].unit,
                device_time=one.time,
                effective_at=one.time,
                received_at=received_at,
                sequence=one.sequence,
                quality=int(Quality.SEQUENCED | (Quality.LATE if received_at - one.time > LATE_AFTER else 0)),
            )
            for one, value in self.values(key, sequence)
        ]


def _flat(message: DueMessage) -> Iterator[Reading]:
    for item in message.readings:
        yield from item.components if isinstance(item, PanelReading) else (item,)


def messages(seed: int, key: str, model: str, start: int, interval: float, pace: Pace | None = None) -> Iterator[DueMessage]:
    """Let a device measure for ever.

    Args:
        seed: of the run.
        key: of the device.
        model: of ``MODELS``.
        start: microseconds, before the first message.
        interval: mean seconds between two messages, above 0.
        pace: asked before each wait how much longer it is, and how many messages come then; None for an even pace.

    Returns:
        Messages in the order of ``due``, each at an instant of its own.
    """
    chance = Random(f"{seed}/{key}")  # noqa: S311 - reproducible on purpose
    codes = MODELS[model]
    long = any(code in PERSISTENT for code in codes)
    due, level, until, volley = start, 0, 0, 1
    while True:
        if volley > 1:
            volley -= 1
            due += VOLLEY_GAP
        else:
            volley = pace.volley(due) if pace else 1
            stretch = pace.stretch(due) if pace else 1.0
            due += max(1000, round(interval * volley * stretch * chance.uniform(0.5, 1.5) * SECOND))
        if due >= until:
            level = chance.choices((0, 1, 2), (5, 3, 2))[0]
            until = due + round(chance.uniform(*(LONG_SECONDS if long else SHORT_SECONDS)) * SECOND)
        shown = chance.choice((1, 2)) if level == 0 and chance.random() < OUTLIERS else level
        values = tuple(reading(code, _value(code, shown, chance)) for code in codes)
        yield DueMessage(due, (PanelReading(PANEL, values),) if model == "agora-cuff" else values)


def _value(code: str, level: int, chance: Random) -> float:
    middle = LEVELS[code][level]
    moved = middle * (1.0 + SPREAD * chance.uniform(-0.5, 0.5))
    return round(moved, 1) if code == "8310-5" else float(round(moved))
