"""Synthetic patients: the same each time, possible, and connected within."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, pairwise
from statistics import correlation, fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogue.device import MODEL_BY_NAME
from catalogue.registry import BY_CODE
from contracts.instants import SECOND
from simulators.messages import PanelReading
from simulators.patients import MODELS
from simulators.synthetic import DAY_SECONDS, HOUR_SECONDS, SyntheticPatient, deteriorating, make_patient, make_patients, shown

SEEDS = st.integers(0, 2**32)
NUMBERS = st.integers(0, 5_000)
MOMENTS = st.floats(0, 30 * DAY_SECONDS)
WEEK = [half_hour * HOUR_SECONDS / 2 for half_hour in range(7 * 24 * 2)]


def healthy(seed: int, number: int) -> SyntheticPatient:
    return replace(make_patient(seed, number), deteriorates_at=None)


@given(SEEDS, NUMBERS, st.sampled_from(MODELS), st.floats(0.5, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_same_seed_gives_the_same_series(seed: int, number: int, model: str, speed: float) -> None:
    one, again = (list(islice(make_patient(seed, number).messages(model, 0, speed), 20)) for _ in range(2))
    assert one == again


@given(SEEDS, NUMBERS)
@settings(max_examples=40, deadline=None)
def test_another_number_is_another_person(seed: int, number: int) -> None:
    assert make_patient(seed, number).vitals(0) != make_patient(seed, number + 1).vitals(0)


@given(SEEDS, NUMBERS, MOMENTS, st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_value_is_plausible_even_in_a_deterioration(seed: int, number: int, moment: float, ill: bool) -> None:
    patient = make_patient(seed, number)
    vitals = (deteriorating(patient, 0) if ill else patient).vitals(moment)
    for model in MODELS:
        for code, value in shown(vitals, model):
            low, high = BY_CODE[code].plausible
            assert low <= value <= high
    assert vitals.diastolic < vitals.mean < vitals.systolic


@given(SEEDS, NUMBERS, st.sampled_from(MODELS), st.integers(0, 2**50), st.floats(0.5, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_device_measures_what_its_model_says_at_its_cadence(
    seed: int, number: int, model: str, start: int, speed: float
) -> None:
    found = list(islice(make_patient(seed, number).messages(model, start, speed), 10))
    entry = MODEL_BY_NAME[model]
    assert found[0].due >= start
    for earlier, later in pairwise(found):
        gap = (later.due - earlier.due) * speed / SECOND
        assert 0.89 * entry.cadence_seconds < gap < 1.11 * entry.cadence_seconds
    for message in found:
        codes = [
            part.code for item in message.readings for part in (item.components if isinstance(item, PanelReading) else [item])
        ]
        assert codes == list(entry.vitals)


@given(SEEDS, st.integers(0, 100))
@settings(max_examples=8, deadline=None)
def test_heart_rate_rises_with_respiration_and_pressure(seed: int, number: int) -> None:
    series = [healthy(seed, number).vitals(moment) for moment in WEEK]
    rates = [vitals.heart_rate for vitals in series]
    assert correlation(rates, [vitals.respiration for vitals in series]) > 0.5
    assert correlation(rates, [vitals.systolic for vitals in series]) > 0.3


@given(SEEDS, st.integers(0, 100))
@settings(max_examples=8, deadline=None)
def test_night_is_quieter_cooler_and_lower_than_the_afternoon(seed: int, number: int) -> None:
    patient = healthy(seed, number)
    by_hour: dict[int, list[int]] = {}
    series = [patient.vitals(moment) for moment in WEEK]
    for number_in_week, moment in enumerate(WEEK):
        by_hour.setdefault(int((patient.clock_start + moment) % DAY_SECONDS / HOUR_SECONDS), []).append(number_in_week)
    night = [series[index] for hour in (2, 3, 4, 5) for index in by_hour[hour]]
    afternoon = [series[index] for hour in (15, 16, 17, 18) for index in by_hour[hour]]
    for name in ("heart_rate", "systolic", "temperature", "respiration"):
        assert fmean(getattr(vitals, name) for vitals in night) < fmean(getattr(vitals, name) for vitals in afternoon)


def test_a_deterioration_moves_every_sign_the_way_an_infection_of_the_airways_does() -> None:
    well = make_patient(1, 0)
    ill = deteriorating(well, 0)
    before, after = well.vitals(6 * HOUR_SECONDS), ill.vitals(6 * HOUR_SECONDS)
    assert after.heart_rate > before.heart_rate + 20
    assert after.respiration > before.respiration + 8
    assert after.oxygen_saturation < before.oxygen_saturation - 5
    assert after.temperature > before.temperature + 1.5
    assert after.systolic < before.systolic - 15


def test_about_one_in_five_falls_ill() -> None:
    ill = sum(patient.deteriorates_at is not None for patient in make_patients(1_000, seed=9))
    assert 150 < ill < 250


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_longer_list_begins_with_the_shorter_one(count: int) -> None:
    assert make_patients(10, seed=2)[:count] == make_patients(count, seed=2)
