"""Every vital, in every unit a device may send, goes through the whole normaliser; new entries are tested unasked."""

from __future__ import annotations

import json

import pytest

from catalogue.device import MODELS
from catalogue.registry import BY_CODE, PANEL_BY_CODE, PANELS, VITALS
from catalogue.units import conversion, is_ucum
from catalogue.vital import Panel, Vital
from contracts.frames import Coordinates, RawMessage
from contracts.instants import to_text
from contracts.observation import Observation, Quality
from contracts.registry import DeviceRecord, Loan
from streams.directory import Directory
from streams.memory import Recent, Warnings
from streams.normalise import normalise

NOW = 1_795_341_600_000_000
DEVICE = DeviceRecord(org="org", device="any", model="agora-generic", loans=(Loan(start=0, subject="anna"),))


def normalised(body: dict[str, object]) -> list[Observation]:
    message = RawMessage("agora/v1/org/any/up/vitals", json.dumps({"time": to_text(NOW), **body}).encode(), NOW)
    directory = Directory({"org/any": DEVICE}.get)
    result = normalise([message], Coordinates("agora.raw.v1", 0, 0), directory, Recent(0), Warnings(), NOW, "test")
    assert result.quarantined == []
    return [one for frame in result.vitals.values() for one in frame]


def sent_in(vital: Vital, unit: str) -> float:
    """Give the vital's example as a device sends it in this unit."""
    scale, offset = conversion(unit, vital.unit)
    return (vital.example - offset) / scale


@pytest.mark.parametrize(("vital", "unit"), [(vital, unit) for vital in VITALS for unit in vital.units], ids=str)
def test_the_example_of_every_vital_in_every_accepted_unit_is_plausible(vital: Vital, unit: str) -> None:
    [one] = normalised({"code": vital.code, "value": sent_in(vital, unit), "unit": unit})
    assert (one.vital, one.unit) == (vital.code, vital.unit)
    assert one.value == pytest.approx(vital.example, rel=1e-6, abs=1e-5)
    assert Quality(one.quality) == Quality.NONE


@pytest.mark.parametrize(("code", "vital"), [(code, vital) for code, vital in BY_CODE.items() if code != vital.code], ids=str)
def test_every_alias_is_stored_under_the_canonical_code(code: str, vital: Vital) -> None:
    [one] = normalised({"code": code, "value": vital.example, "unit": vital.unit})
    assert one.vital == vital.code


@pytest.mark.parametrize("vital", VITALS, ids=lambda vital: vital.code)
def test_values_outside_the_plausible_range_are_stored_and_flagged(vital: Vital) -> None:
    low, high = vital.plausible
    assert low < high
    for value in (low - 1, high + 1):
        [one] = normalised({"code": vital.code, "value": value, "unit": vital.unit})
        assert Quality(one.quality) == Quality.IMPLAUSIBLE


@pytest.mark.parametrize("vital", VITALS, ids=lambda vital: vital.code)
def test_every_unit_is_ucum_and_every_entry_names_its_source(vital: Vital) -> None:
    assert all(is_ucum(unit) for unit in vital.units)
    assert vital.source
    assert len(set(vital.units)) == len(vital.units)
    if vital.limits is not None:
        assert vital.limits.source
        marks = [vital.limits.critical_low, vital.limits.low, vital.limits.high, vital.limits.critical_high]
        known = [mark for mark in marks if mark is not None]
        assert known == sorted(known)
        assert all(vital.plausible[0] <= mark <= vital.plausible[1] for mark in known)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.code)
def test_every_panel_takes_all_its_components_at_once(panel: Panel) -> None:
    parts = [{"code": code, "value": BY_CODE[code].example, "unit": BY_CODE[code].unit} for code in panel.components]
    found = normalised({"code": panel.code, "components": parts})
    assert {one.vital for one in found} == set(panel.components)
    assert {one.panel for one in found} == {panel.code}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.code)
def test_panels_and_their_components_name_each_other(panel: Panel) -> None:
    assert panel.code not in BY_CODE
    assert set(panel.required) <= set(panel.components)
    for code in panel.components:
        assert BY_CODE[code].panel == panel.code
    assert {vital.code for vital in VITALS if vital.panel == panel.code} <= set(panel.components)


def test_every_panel_that_is_named_exists() -> None:
    assert {vital.panel for vital in VITALS if vital.panel} <= PANEL_BY_CODE.keys()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_device_model_measures_vitals_of_the_catalogue(model: object) -> None:
    assert set(model.vitals) <= {vital.code for vital in VITALS}  # type: ignore[attr-defined]
    assert model.cadence_seconds > 0  # type: ignore[attr-defined]
    assert model.late_after_seconds > 0  # type: ignore[attr-defined]
