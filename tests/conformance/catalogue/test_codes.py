"""Codes of the catalogue: a slip of the pen in one is found by its check digit, its range or its neighbour."""

from __future__ import annotations

import pytest

from catalogue.device import MODELS, DeviceModel
from catalogue.formats import DECODERS
from catalogue.registry import BY_CODE, PANELS, VITALS
from catalogue.vital import Panel, Vital
from contracts.ids import is_name

PARTITIONS = {2: "SCADA", 8: "disease management", 128: "personal health: disease management", 129: "fitness", 130: "living"}
"""Partitions of ISO/IEEE 11073-10101 in which measurements stand."""
ALL_LOINC = sorted({*BY_CODE, *(panel.code for panel in PANELS), *(code for vital in VITALS for code in vital.fhir_codes)})


def check_digit(payload: str) -> int:
    """Give the Mod-10 check digit of a LOINC code.

    Source: LOINC Users' Guide, "Calculating Mod 10 check digits": every second digit from the right is doubled.
    """
    total = 0
    for place, digit in enumerate(reversed(payload)):
        value = int(digit) * (1 if place % 2 else 2)
        total += value - 9 if value > 9 else value
    return -total % 10


@pytest.mark.parametrize("code", ALL_LOINC)
def test_the_check_digit_of_every_loinc_code_is_right(code: str) -> None:
    payload, digit = code.split("-")
    assert payload.isdecimal()
    assert int(digit) == check_digit(payload)


@pytest.mark.parametrize("entry", [*VITALS, *PANELS], ids=lambda entry: entry.code)
def test_every_mdc_code_lies_in_a_partition_of_measurements(entry: Vital | Panel) -> None:
    assert entry.mdc == 0 or (entry.mdc >> 16 in PARTITIONS and entry.mdc & 0xFFFF)


def test_no_two_vitals_share_an_mdc_code_or_a_short_name() -> None:
    entries: list[Vital | Panel] = [*VITALS, *PANELS]
    codes = [entry.mdc for entry in entries if entry.mdc]
    assert len(set(codes)) == len(codes)
    assert len({vital.short for vital in VITALS}) == len(VITALS)


@pytest.mark.parametrize("vital", VITALS, ids=lambda vital: vital.code)
def test_the_example_of_every_vital_is_plausible_and_raises_no_alert(vital: Vital) -> None:
    assert vital.plausible[0] <= vital.example <= vital.plausible[1]
    if vital.limits is not None:
        assert vital.limits.low is None or vital.example >= vital.limits.low
        assert vital.limits.high is None or vital.example <= vital.limits.high
        assert vital.limits.hysteresis >= 0
        assert vital.limits.persistence_seconds >= 0


@pytest.mark.parametrize("entry", [*VITALS, *PANELS], ids=lambda entry: entry.code)
def test_every_profile_is_one_of_fhir_r4(entry: Vital | Panel) -> None:
    assert not entry.profile or entry.profile.startswith("http://hl7.org/fhir/StructureDefinition/")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_device_model_has_streams_in_formats_that_exist(model: DeviceModel) -> None:
    assert is_name(model.name)
    assert model.streams
    assert model.source
    for stream, form in model.streams.items():
        assert is_name(stream)
        assert form in DECODERS
