"""Recorded intensive-care patients of the MIMIC-IV demo, played as people with devices at home. Pure but for ``load``.

Source and licence of the recordings: ``simulators/data/README.md``.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from catalogue.registry import BY_CODE
from contracts.instants import MINUTE
from simulators.messages import DueMessage, reading
from simulators.patients import MODEL_OF_VITAL, MODELS, grouped

DATA = Path(__file__).parent / "data"
CODE_OF_CATEGORY = {
    "heart_rate": "8867-4",
    "respiratory_rate": "9279-1",
    "spo2": "59408-5",
    "sbp": "8480-6",
    "dbp": "8462-4",
    "map": "8478-0",
    "temp_c": "8310-5",
    "weight_kg": "29463-7",
}
"""From CLIF's vital category to LOINC; all are recorded in the catalogue's canonical unit."""
SITE_OF_NAME = {
    "ART BP": "arterial-line-2",
    "Arterial Blood Pressure": "arterial-line",
    "Non Invasive Blood Pressure": "upper-arm",
    "Manual Blood Pressure Systolic Left": "left-upper-arm",
    "Manual Blood Pressure Diastolic Left": "left-upper-arm",
    "Manual Blood Pressure Systolic Right": "right-upper-arm",
    "Manual Blood Pressure Diastolic Right": "right-upper-arm",
}
"""From the beginning of the recorded name to the site: one moment may hold a pressure of the line and one of the cuff."""
SITE_SPELLINGS = {"esophogeal": "esophageal"}
SCALE = "agora-scale"
DIRT_WINDOW_MINUTES = 24 * 60


class RecordedValue(NamedTuple):
    """A value as it was charted: minute since the stay's first, LOINC code, value in the canonical unit, site."""

    minute: int
    code: str
    value: float
    site: str


@dataclass(frozen=True)
class RecordedPatient:
    """One intensive-care stay.

    Attributes:
        stay: the publisher's number of the stay.
        person: the publisher's number of the patient, who may have several stays.
        age: years at admission.
        sex: ``female`` or ``male``.
        discharge: how the stay ended, ``Expired`` for a death.
        values: everything charted, in order of time.
    """

    stay: str
    person: str
    age: int
    sex: str
    discharge: str
    values: tuple[RecordedValue, ...]

    @property
    def name(self) -> str:
        """``mimic-<stay>``."""
        return f"mimic-{self.stay}"

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Models of the devices that could have measured what was charted."""
        used = {MODEL_OF_VITAL[value.code] for value in self.values}
        return tuple(model for model in MODELS if model in used)

    @cached_property
    def begin(self) -> int:
        """Minute of the first value that is no weight: weights are charted hours before the monitor is attached."""
        minutes = (value.minute for value in self.values if MODEL_OF_VITAL[value.code] != SCALE)
        return next(minutes, self.values[0].minute)

    @cached_property
    def dirt(self) -> int:
        """How many values of the first 24 hours cannot be true, by the catalogue's plausible ranges."""
        end = self.begin + DIRT_WINDOW_MINUTES
        return sum(value.minute < end and not _is_plausible(value) for value in self.values)

    def messages(self, model: str, start: int, speed: float) -> Iterator[DueMessage]:
        """Play one device; see ``Patient.messages``. What was charted before ``begin`` is sent at ``start``."""
        mine = (value for value in self.values if MODEL_OF_VITAL[value.code] == model)
        for minute, values in groupby(mine, key=lambda value: value.minute):
            elapsed = max(0, minute - self.begin) * MINUTE
            due = start + round(elapsed / speed)
            for distinct in _without_repeats(list(values)):
                yield DueMessage(due, grouped(reading(value.code, value.value, value.site) for value in distinct))


def _without_repeats(values: list[RecordedValue]) -> Iterator[list[RecordedValue]]:
    """Split what was charted twice in a minute (a weight in kg and in pounds): in one message it would be one identity."""
    while values:
        first = {(value.code, value.site): value for value in reversed(values)}
        yield [value for value in values if value is first[value.code, value.site]]
        values = [value for value in values if value is not first[value.code, value.site]]


def _is_plausible(value: RecordedValue) -> bool:
    low, high = BY_CODE[value.code].plausible
    return low <= value.value <= high


def site_of(name: str, site: str) -> str:
    """Give the site of a charted value in the platform's alphabet.

    Args:
        name: item name as charted, as ``Arterial Blood Pressure mean``.
        site: site as charted, as ``Oral``, or empty.

    Returns:
        The site, or empty when none was charted.
    """
    if site:
        return SITE_SPELLINGS.get(site.lower(), site.lower())
    return next((found for start, found in SITE_OF_NAME.items() if name.startswith(start)), "")


def load(folder: Path = DATA) -> list[RecordedPatient]:
    """Read all recordings.

    Args:
        folder: where the two data files lie.

    Returns:
        134 stays in the order of their numbers.
    """
    text = gzip.decompress((folder / "mimic_iv_demo_vitals.csv.gz").read_bytes()).decode()
    values: dict[str, list[RecordedValue]] = {}
    for stay, minute, category, value, name, site in list(csv.reader(io.StringIO(text)))[1:]:
        one = RecordedValue(int(minute), CODE_OF_CATEGORY[category], float(value), site_of(name, site))
        values.setdefault(stay, []).append(one)
    with (folder / "mimic_iv_demo_stays.csv").open(newline="") as file:
        return [
            RecordedPatient(
                row["stay"], row["patient"], int(row["age"]), row["sex"], row["discharge"], tuple(values[row["stay"]])
            )
            for row in csv.DictReader(file)
        ]


def choose(recordings: Sequence[RecordedPatient], count: int) -> list[RecordedPatient]:
    """Choose recordings to show: one stay of each person, those with the most impossible values of the first day first.

    Args:
        recordings: from ``load``.
        count: how many at most.

    Returns:
        The same ones each time.
    """
    ranked = sorted(recordings, key=lambda one: (-one.dirt, one.stay))
    by_person: dict[str, RecordedPatient] = {}
    for one in ranked:
        by_person.setdefault(one.person, one)
    return list(by_person.values())[:count]
