"""Synthetic patients: seeded, correlated vital signs with circadian rhythm, activity, noise and, for some, a deterioration.

Every value is a pure function of seed, patient and time, so any moment can be asked for without the ones before it.
Sizes of the effects are textbook orders of magnitude for adults at rest, meant for load and for judging software, not for
physiology: heart rate and temperature peak in the late afternoon, pressure dips by about a tenth at night (ESC/ESH 2018,
section 3.4, "dipping"), heart rate and respiration rise together with activity, and by some 10 beats for each degree of fever.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import NamedTuple

from catalogue.device import MODEL_BY_NAME
from contracts.instants import SECOND
from simulators.messages import DueMessage, reading
from simulators.patients import MODELS, grouped

DAY_SECONDS = 86_400.0
HOUR_SECONDS = 3_600.0
AFTERNOON_SECONDS = 16.5 * HOUR_SECONDS
"""Time of day at which heart rate, pressure and temperature peak."""
ACTIVITY_BLOCK_SECONDS = 600.0
STRESS_BLOCK_SECONDS = 1_800.0
NOISE_BLOCK_SECONDS = 120.0
DETERIORATION_RISE_SECONDS = 4 * HOUR_SECONDS
DETERIORATING_SHARE = 0.2
JITTER = 0.1
"""A device measures up to this share of its cadence late."""


class Vitals(NamedTuple):
    """All vital signs of one moment: /min, /min, %, mm[Hg], mm[Hg], mm[Hg], Cel, kg."""

    heart_rate: float
    respiration: float
    oxygen_saturation: float
    systolic: float
    diastolic: float
    mean: float
    temperature: float
    weight: float


@dataclass(frozen=True, slots=True)
class Influences:
    """What moves the vital signs at one moment.

    Attributes:
        day: -1 deep in the night to 1 in the afternoon.
        activity: 0 at rest to 1 in hard work.
        stress: slow excitement, about -2 to 2.
        illness: 0 well to 1 gravely ill.
    """

    day: float
    activity: float
    stress: float
    illness: float


@lru_cache(maxsize=65_536)
def _knot(seed: str, block: int) -> float:
    """Give a standard normal number, cut at 3, for one block of time."""
    return max(-3.0, min(3.0, Random(f"{seed}/{block}").gauss(0.0, 1.0)))  # noqa: S311 - reproducible on purpose


def smooth_noise(seed: str, seconds: float, block_seconds: float) -> float:
    """Give noise that wanders: normal numbers at the blocks' borders, joined by a cosine.

    Args:
        seed: which noise.
        seconds: when.
        block_seconds: how fast it wanders, above 0.

    Returns:
        About -3 to 3.
    """
    block, within = divmod(seconds / block_seconds, 1.0)
    weight = (1.0 - math.cos(math.pi * within)) / 2.0
    return _knot(seed, int(block)) * (1.0 - weight) + _knot(seed, int(block) + 1) * weight


@dataclass(frozen=True)
class SyntheticPatient:
    """One made-up adult.

    Attributes:
        seed: of the whole population.
        number: which patient, from 0.
        resting: vital signs at rest, at noon, in health.
        deteriorates_at: seconds of the patient's time until an infection of the airways begins, or None.
        clock_start: time of day at which the patient's time begins, seconds.
    """

    seed: int
    number: int
    resting: Vitals
    deteriorates_at: float | None = None
    clock_start: float = 8 * HOUR_SECONDS

    @property
    def name(self) -> str:
        """``synthetic-<seed>-<number>``."""
        return f"synthetic-{self.seed}-{self.number}"

    @property
    def models(self) -> tuple[str, ...]:
        """Everyone has every device."""
        return MODELS

    def influences(self, seconds: float) -> Influences:
        """Tell what moves the vital signs at a moment of the patient's time, in seconds."""
        day = math.cos((self.clock_start + seconds - AFTERNOON_SECONDS) / DAY_SECONDS * 2.0 * math.pi)
        awake = max(0.0, min(1.0, day + 0.6))
        effort = max(0.0, smooth_noise(f"{self.name}/activity", seconds, ACTIVITY_BLOCK_SECONDS) - 0.5) / 2.5
        since = -1.0 if self.deteriorates_at is None else seconds - self.deteriorates_at
        return Influences(
            day=day,
            activity=awake * effort,
            stress=smooth_noise(f"{self.name}/stress", seconds, STRESS_BLOCK_SECONDS),
            illness=max(0.0, min(1.0, since / DETERIORATION_RISE_SECONDS)),
        )

    def vitals(self, seconds: float) -> Vitals:
        """Give the true vital signs at a moment.

        Args:
            seconds: of the patient's time, from 0.

        Returns:
            Unrounded values, plausible by the catalogue's ranges.
        """
        now, rest = self.influences(seconds), self.resting
        quiet = 1.0 - now.activity
        temperature = (
            rest.temperature + 0.35 * now.day + 0.3 * now.activity + 2.2 * now.illness + 0.05 * self._noise("t", seconds)
        )
        heart_rate = rest.heart_rate + 5.0 * now.day + 45.0 * now.activity + 3.0 * now.stress * quiet + 30.0 * now.illness
        respiration = rest.respiration + 0.8 * now.day + 12.0 * now.activity + 0.6 * now.stress * quiet + 12.0 * now.illness
        saturation = rest.oxygen_saturation + 0.3 * now.day - 1.5 * now.activity - 9.0 * now.illness
        systolic = rest.systolic * (1.0 + 0.06 * now.day) + 25.0 * now.activity + 4.0 * now.stress - 22.0 * now.illness
        diastolic = rest.diastolic * (1.0 + 0.06 * now.day) + 6.0 * now.activity + 2.0 * now.stress - 14.0 * now.illness
        systolic += 2.0 * self._noise("s", seconds)
        diastolic = min(diastolic + 1.5 * self._noise("d", seconds), systolic - 15.0)
        return Vitals(
            heart_rate=heart_rate + 1.2 * self._noise("h", seconds),
            respiration=respiration + 0.7 * self._noise("r", seconds),
            oxygen_saturation=min(100.0, saturation + 0.4 * self._noise("o", seconds)),
            systolic=systolic,
            diastolic=diastolic,
            mean=diastolic + (systolic - diastolic) / 3.0,
            temperature=temperature,
            weight=rest.weight * (1.0 + 0.004 * now.day) + 0.15 * self._noise("w", seconds),
        )

    def _noise(self, which: str, seconds: float) -> float:
        return smooth_noise(f"{self.name}/{which}", seconds, NOISE_BLOCK_SECONDS)

    def messages(self, model: str, start: int, speed: float) -> Iterator[DueMessage]:
        """Play one device without end, at the cadence of its model; see ``Patient.messages``."""
        if model not in MODELS:
            return
        cadence = MODEL_BY_NAME[model].cadence_seconds
        phase = Random(f"{self.name}/{model}/phase").random() * min(cadence, HOUR_SECONDS)  # noqa: S311 - reproducible
        beat = 0
        while True:
            late = Random(f"{self.name}/{model}/{beat}").random() * JITTER * cadence  # noqa: S311 - reproducible
            seconds = phase + beat * cadence + late
            due = start + round(seconds * SECOND / speed)
            yield DueMessage(due, grouped(reading(code, value) for code, value in shown(self.vitals(seconds), model)))
            beat += 1


def shown(vitals: Vitals, model: str) -> list[tuple[str, float]]:
    """Give what a device's display shows, rounded as such devices round.

    Args:
        vitals: the truth.
        model: one of ``simulators.patients.MODELS``.

    Returns:
        LOINC codes with values in canonical units, in the order of the model's entry.
    """
    display = {
        "8867-4": float(round(vitals.heart_rate)),
        "9279-1": float(round(vitals.respiration)),
        "59408-5": float(round(vitals.oxygen_saturation)),
        "8480-6": float(round(vitals.systolic)),
        "8462-4": float(round(vitals.diastolic)),
        "8478-0": float(round(vitals.mean)),
        "8310-5": round(vitals.temperature, 1),
        "29463-7": round(vitals.weight, 1),
    }
    return [(code, display[code]) for code in MODEL_BY_NAME[model].vitals]


def make_patient(seed: int, number: int) -> SyntheticPatient:
    """Make up one patient.

    Args:
        seed: of the population, from 0.
        number: which, from 0.

    Returns:
        The same patient each time; about one in five deteriorates within the first two days.
    """
    chance = Random(f"{seed}/{number}/patient")  # noqa: S311 - reproducible on purpose
    systolic = _between(chance.gauss(122.0, 9.0), 104.0, 148.0)
    diastolic = _between(systolic * 0.63 + chance.gauss(0.0, 4.0), 62.0, 92.0)
    resting = Vitals(
        heart_rate=_between(chance.gauss(70.0, 7.0), 56.0, 86.0),
        respiration=_between(chance.gauss(15.0, 1.5), 12.0, 18.0),
        oxygen_saturation=_between(chance.gauss(97.3, 0.8), 95.5, 99.0),
        systolic=systolic,
        diastolic=diastolic,
        mean=diastolic + (systolic - diastolic) / 3.0,
        temperature=_between(chance.gauss(36.7, 0.2), 36.2, 37.1),
        weight=_between(chance.gauss(76.0, 14.0), 45.0, 130.0),
    )
    falls_ill = chance.random() < DETERIORATING_SHARE
    onset = (6.0 + 42.0 * chance.random()) * HOUR_SECONDS
    return SyntheticPatient(seed, number, resting, onset if falls_ill else None)


def make_patients(count: int, seed: int = 0) -> list[SyntheticPatient]:
    """Make up a population.

    Args:
        count: how many, from 0.
        seed: from 0; the same seed gives the same people, and a longer list begins with the shorter one.

    Returns:
        The patients in the order of their numbers.
    """
    return [make_patient(seed, number) for number in range(count)]


def deteriorating(patient: SyntheticPatient, after_seconds: float) -> SyntheticPatient:
    """Let a patient fall ill at a chosen moment of the patient's time.

    Args:
        patient: anyone.
        after_seconds: from the beginning, 0 or more.

    Returns:
        The same person with that deterioration.
    """
    return replace(patient, deteriorates_at=after_seconds)


def _between(value: float, low: float, high: float) -> float:
    return max(low, min(high, value))
