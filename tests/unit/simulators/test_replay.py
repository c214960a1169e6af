"""Recorded patients as home devices."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise

import pytest

from catalogue.device import MODEL_BY_NAME
from catalogue.registry import BY_CODE, PANEL_BY_CODE
from contracts.ids import is_name
from contracts.instants import HOUR, MINUTE, SECOND
from simulators.messages import DueMessage, PanelReading, encode
from simulators.patients import MODELS, devices_for
from simulators.replay import CODE_OF_CATEGORY, DATA, RecordedPatient, RecordedValue, choose, load, site_of

START = 1_800_000_000 * SECOND


@pytest.fixture(scope="module")
def recordings() -> list[RecordedPatient]:
    return load()


def patient(*values: RecordedValue) -> RecordedPatient:
    return RecordedPatient("1", "2", 70, "female", "Home", values)


def values_of(message: DueMessage) -> list[float]:
    return [part.value for item in message.readings for part in (item.components if isinstance(item, PanelReading) else [item])]


def test_every_recorded_value_is_there_dirt_included(recordings: list[RecordedPatient]) -> None:
    values = [value for one in recordings for value in one.values]
    assert len(recordings) == 134
    assert len({one.person for one in recordings}) == 100
    assert len(values) == 94_187
    assert {value.value for value in values if value.code == "8478-0"} >= {801.0, -27.0}
    assert 99.0 in {value.value for value in values if value.code == "8310-5"}
    assert 0.0 in {value.value for value in values if value.code == "8867-4"}


def test_the_extract_lies_beside_its_licence_and_stays_small() -> None:
    assert "Open Database License" in (DATA / "LICENSE").read_text()
    assert "ODbL" in (DATA / "README.md").read_text()
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 3_000_000


def test_the_extract_is_the_one_its_script_made() -> None:
    digest = hashlib.sha256((DATA / "mimic_iv_demo_vitals.csv.gz").read_bytes()).hexdigest()
    assert digest == "ddb1efa81f2b3ee39ed2b261581c51b6b125e0cbcd56f9e719c22e3f7f9429b2"


def test_every_vital_and_model_is_of_the_catalogue(recordings: list[RecordedPatient]) -> None:
    assert set(CODE_OF_CATEGORY.values()) <= set(BY_CODE)
    for one in recordings:
        assert set(one.models) <= set(MODELS) <= set(MODEL_BY_NAME)


def test_planned_devices_have_names_the_platform_takes(recordings: list[RecordedPatient]) -> None:
    planned = [device for one in recordings for device in devices_for(one)]
    assert all(is_name(device.device) and is_name(device.patient) for device in planned)
    assert len({device.device for device in planned}) == len(planned)


def test_a_device_says_everything_that_was_charted_for_it_and_nothing_else(recordings: list[RecordedPatient]) -> None:
    for one in recordings[:20]:
        for model in MODELS:
            said = [value for message in one.messages(model, START, 60) for value in values_of(message)]
            charted = [value.value for value in one.values if value.code in MODEL_BY_NAME[model].vitals]
            assert sorted(said) == sorted(charted)


def test_messages_come_in_order_from_the_start_on(recordings: list[RecordedPatient]) -> None:
    for one in recordings:
        for model in one.models:
            due = [message.due for message in one.messages(model, START, 60)]
            assert due[0] >= START
            assert all(earlier <= later for earlier, later in pairwise(due))


def test_no_message_holds_two_readings_of_one_identity(recordings: list[RecordedPatient]) -> None:
    for one in recordings:
        for model in one.models:
            for message in one.messages(model, START, 60):
                named = [(item.code, item.site) for item in message.readings]
                assert len(set(named)) == len(named)


def test_speed_shortens_the_time_between_messages() -> None:
    one = patient(RecordedValue(5, "8867-4", 70, ""), RecordedValue(65, "8867-4", 71, ""))
    assert [message.due for message in one.messages("agora-oximeter", START, 1)] == [START, START + HOUR]
    assert [message.due for message in one.messages("agora-oximeter", START, 60)] == [START, START + MINUTE]


def test_pressures_of_one_moment_and_site_are_a_panel_and_a_lone_one_is_not() -> None:
    one = patient(
        RecordedValue(0, "8462-4", 80, "upper-arm"),
        RecordedValue(0, "8480-6", 120, "upper-arm"),
        RecordedValue(0, "8478-0", 801, "arterial-line"),
    )
    (message,) = one.messages("agora-cuff", START, 1)
    panel, lone = message.readings
    assert isinstance(panel, PanelReading)
    assert panel.code in PANEL_BY_CODE
    assert {part.code for part in panel.components} == {"8462-4", "8480-6"}
    assert (lone.code, lone.site) == ("8478-0", "arterial-line")


def test_pulse_and_saturation_of_one_minute_share_a_message() -> None:
    one = patient(RecordedValue(0, "8867-4", 70, ""), RecordedValue(0, "59408-5", 97, ""))
    (message,) = one.messages("agora-oximeter", START, 1)
    assert [item.code for item in message.readings] == ["8867-4", "59408-5"]


def test_a_weight_charted_before_the_monitor_was_attached_is_sent_at_the_start() -> None:
    one = patient(RecordedValue(0, "29463-7", 80, ""), RecordedValue(180, "8867-4", 70, ""))
    assert [message.due for model in one.models for message in one.messages(model, START, 1)] == [START, START]


def test_two_weights_of_one_minute_go_in_two_messages_so_that_none_hides_the_other() -> None:
    one = patient(RecordedValue(0, "29463-7", 80, ""), RecordedValue(0, "29463-7", 79.8, ""))
    assert [values_of(message) for message in one.messages("agora-scale", START, 1)] == [[80], [79.8]]


def test_sites_are_written_in_the_platforms_words() -> None:
    assert site_of("Arterial Blood Pressure mean", "") == "arterial-line"
    assert site_of("Non Invasive Blood Pressure mean", "") == "upper-arm"
    assert site_of("Temperature Celsius", "Esophogeal") == "esophageal"
    assert site_of("Heart Rate", "") == ""


def test_chosen_recordings_are_of_different_people_and_begin_with_dirt(recordings: list[RecordedPatient]) -> None:
    chosen = choose(recordings, 12)
    assert len({one.person for one in chosen}) == 12
    assert chosen[0].dirt > 0
    assert chosen == choose(list(reversed(recordings)), 12)


def test_a_panel_is_written_as_agoras_format_says() -> None:
    one = patient(RecordedValue(0, "8462-4", 80, "upper-arm"), RecordedValue(0, "8480-6", 120, "upper-arm"))
    (message,) = one.messages("agora-cuff", START, 1)
    assert json.loads(encode(message, sequence=17)) == {
        "sequence": 17,
        "time": "2027-01-15T08:00:00.000Z",
        "readings": [
            {
                "code": "85354-9",
                "components": [
                    {"code": "8462-4", "value": 80, "unit": "mm[Hg]"},
                    {"code": "8480-6", "value": 120, "unit": "mm[Hg]"},
                ],
                "site": "upper-arm",
            }
        ],
    }
