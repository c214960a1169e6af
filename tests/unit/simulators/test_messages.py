"""What devices say, in Agora's JSON format."""

from __future__ import annotations

import json

from contracts.instants import MINUTE, SECOND
from simulators.messages import Clock, DueMessage, PanelReading, Reading, count_values, encode, in_batches, reading, time_text

START = 1_800_000_000 * SECOND


def test_a_lone_reading_takes_the_short_form() -> None:
    message = DueMessage(START + 250_000, (reading("8310-5", 36.9),))
    assert json.loads(encode(message, sequence=3, message_id="m-1")) == {
        "message_id": "m-1",
        "sequence": 3,
        "time": "2027-01-15T08:00:00.250Z",
        "code": "8310-5",
        "value": 36.9,
        "unit": "Cel",
    }


def test_a_reading_with_a_site_of_its_own_does_not() -> None:
    body = json.loads(encode(DueMessage(START, (reading("8310-5", 37.0, "oral"),)), sequence=1))
    assert body["readings"] == [{"code": "8310-5", "value": 37, "unit": "Cel", "site": "oral"}]


def test_no_sequence_is_written_when_none_is_given() -> None:
    assert "sequence" not in json.loads(encode(DueMessage(START, (reading("8867-4", 70),)), sequence=None))


def test_a_batch_keeps_each_readings_own_time() -> None:
    singles = [DueMessage(START + number * MINUTE, (reading("8867-4", 70 + number),)) for number in range(5)]
    batches = list(in_batches(singles, 3 * MINUTE))
    assert [message.due for message in batches] == [START + 3 * MINUTE, START + 6 * MINUTE]
    assert [item.time for message in batches for item in message.readings] == [message.due for message in singles]
    body = json.loads(encode(batches[0], sequence=1))
    assert [item["time"] for item in body["readings"]] == [f"2027-01-15T08:0{minute}:00.000Z" for minute in range(3)]


def test_a_wrong_clock_shows_in_every_time() -> None:
    clock = Clock(START, offset_seconds=-60.0, drift_ppm=1_000.0)
    assert clock.show(START) == START - MINUTE
    assert clock.show(START + 1_000 * SECOND) == START + 1_000 * SECOND - MINUTE + SECOND
    message = DueMessage(START, (Reading("8867-4", 70, "/min", time=START + SECOND),))
    body = json.loads(encode(message, sequence=1, clock=Clock(START, offset_seconds=60.0)))
    assert (body["time"], body["readings"][0]["time"]) == ("2027-01-15T08:01:00.000Z", "2027-01-15T08:01:01.000Z")


def test_values_of_a_panel_count_one_by_one() -> None:
    panel = PanelReading("85354-9", (reading("8480-6", 120), reading("8462-4", 80)))
    assert count_values(DueMessage(START, (panel, reading("8867-4", 70)))) == 3


def test_a_time_is_never_written_earlier_than_it_was() -> None:
    assert time_text(START + 1) == "2027-01-15T08:00:00.001Z"
    assert time_text(START) == "2027-01-15T08:00:00.000Z"
