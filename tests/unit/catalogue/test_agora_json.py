from __future__ import annotations

import pytest

from catalogue.device import MODELS
from catalogue.formats import DECODERS
from catalogue.formats.agora_json import decode, schema
from contracts.errors import Code, Rejected
from contracts.instants import from_datetime, to_datetime

TIME = '"time":"2026-11-22T10:00:00.250Z"'
INSTANT = 1_795_341_600_250_000
HEART = '"code":"8867-4","value":72,"unit":"/min"'


def refusal(payload: str | bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode(payload if isinstance(payload, bytes) else payload.encode())
    return caught.value


def test_readings_panels_and_own_times_are_read() -> None:
    decoded = decode(
        (
            f'{{"message_id":"m-1","sequence":17,{TIME},"test":true,"readings":[{{{HEART}}},'
            '{"code":"85354-9","components":[{"code":"8480-6","value":120,"unit":"mm[Hg]"},{"code":"8462-4","value":80,"unit":"mm[Hg]"}]},'
            '{"code":"59408-5","value":97.5,"unit":"%","time":"2026-11-22T11:00:00+01:00","sequence":16,"site":"left","estimated":true}]}'
        ).encode()
    )
    assert (decoded.message_id, decoded.test, decoded.warnings) == ("m-1", True, ())
    heart, systolic, diastolic, saturation = decoded.readings
    assert (heart.code, heart.value, heart.unit, heart.time, heart.sequence) == ("8867-4", 72.0, "/min", INSTANT, 17)
    assert (systolic.panel, systolic.position, systolic.path) == ("85354-9", 1, "$.readings[1].components[0]")
    assert (diastolic.panel, diastolic.position) == ("85354-9", 1)
    assert (saturation.time, saturation.sequence, saturation.site, saturation.estimated) == (INSTANT - 250_000, 16, "left", True)


def test_the_short_form_is_one_reading() -> None:
    decoded = decode(f'{{{TIME},{HEART},"site":"wrist"}}'.encode())
    [reading] = decoded.readings
    assert (reading.code, reading.site, reading.sequence, reading.path) == ("8867-4", "wrist", None, "$")


def test_a_panel_may_come_in_the_short_form() -> None:
    decoded = decode(f'{{{TIME},"code":"85354-9","components":[{{"code":"8480-6","value":1,"unit":"kPa"}}]}}'.encode())
    assert [(one.panel, one.path) for one in decoded.readings] == [("85354-9", "$.components[0]")]


@pytest.mark.parametrize("spaced", [f"{{ {TIME} , {HEART} }}", f'{{{TIME},"code" : "8867-4","value" :72,"unit"\t:"/min"}}'])
def test_white_space_does_not_matter(spaced: str) -> None:
    assert decode(spaced.encode()).readings[0].value == 72.0


def test_escapes_in_texts_are_read() -> None:
    assert decode(f'{{"message_id":"a\\"b",{TIME},{HEART}}}'.encode()).message_id == 'a"b'


def test_unknown_fields_beside_the_readings_are_left_aside_with_a_warning() -> None:
    decoded = decode(f'{{"battery":80,{TIME},"firmware":{{"v":[1,2]}},{HEART}}}'.encode())
    assert [(one.code, one.field) for one in decoded.warnings] == [
        (Code.FIELD_UNKNOWN, "$.battery"),
        (Code.FIELD_UNKNOWN, "$.firmware"),
    ]
    assert len(decoded.readings) == 1


@pytest.mark.parametrize(
    ("payload", "code", "field"),
    [
        ("", Code.PAYLOAD_UNDECODABLE, "$"),
        ("{", Code.PAYLOAD_UNDECODABLE, "$"),
        (b"\xff\xfe", Code.PAYLOAD_UNDECODABLE, "$"),
        (f'{{"message_id":"\\ud800",{TIME},{HEART}}}', Code.PAYLOAD_UNDECODABLE, "$"),
        ("[" * 100_000, Code.PAYLOAD_UNDECODABLE, "$"),
        ('{"a":' * 100_000, Code.PAYLOAD_UNDECODABLE, "$"),
        (f"{{{TIME},{HEART}}} x", Code.PAYLOAD_UNDECODABLE, "$"),
        ("[]", Code.PAYLOAD_INVALID, "$"),
        ("null", Code.PAYLOAD_INVALID, "$"),
        ("{}", Code.PAYLOAD_EMPTY, "$"),
        (f'{{{TIME},"readings":[]}}', Code.PAYLOAD_EMPTY, "$.readings"),
        (f'{{{TIME},"readings":{{}}}}', Code.PAYLOAD_INVALID, "$.readings"),
        (f'{{{TIME},"readings":[7]}}', Code.PAYLOAD_INVALID, "$.readings[0]"),
        (f'{{{TIME},{HEART},"readings":[]}}', Code.PAYLOAD_INVALID, "$.code"),
        (f"{{{HEART}}}", Code.TIME_MISSING, "$.time"),
        (f'{{"readings":[{{{HEART}}}]}}', Code.TIME_MISSING, "$.readings[0].time"),
        (f'{{"time":"2026-11-22T10:00:00",{HEART}}}', Code.TIME_WITHOUT_ZONE, "$.time"),
        (f'{{"time":1795341600,{HEART}}}', Code.PAYLOAD_INVALID, "$.time"),
        (f'{{"time":"yesterday",{HEART}}}', Code.PAYLOAD_INVALID, "$.time"),
        (f'{{{TIME},"readings":[{{{HEART}}},{{"code":"1","value":"72"}}]}}', Code.PAYLOAD_INVALID, "$.readings[1].value"),
        (f'{{{TIME},"code":"8867-4","value":true,"unit":"/min"}}', Code.PAYLOAD_INVALID, "$.value"),
        (f'{{{TIME},"code":"8867-4","value":null,"unit":"/min"}}', Code.PAYLOAD_INVALID, "$.value"),
        (f'{{{TIME},"code":"8867-4","unit":"/min"}}', Code.PAYLOAD_INVALID, "$.value"),
        (f'{{{TIME},"code":"8867-4","value":72}}', Code.PAYLOAD_INVALID, "$.unit"),
        (f'{{{TIME},"code":"","value":72,"unit":"/min"}}', Code.PAYLOAD_INVALID, "$.code"),
        (f'{{{TIME},"code":"8867-4","value":NaN,"unit":"/min"}}', Code.VALUE_NOT_FINITE, "$.value"),
        (f'{{{TIME},"code":"8867-4","value":-Infinity,"unit":"/min"}}', Code.VALUE_NOT_FINITE, "$.value"),
        (f'{{{TIME},"code":"8867-4","value":1e400,"unit":"/min"}}', Code.VALUE_NOT_FINITE, "$.value"),
        (f'{{{TIME},"code":"8867-4","value":{"9" * 400},"unit":"/min"}}', Code.VALUE_NOT_FINITE, "$.value"),
        (f'{{{TIME},"code":"8867-4","value":{"9" * 5000},"unit":"/min"}}', Code.VALUE_NOT_FINITE, "$"),
        (f'{{{TIME},"sequence":-1,{HEART}}}', Code.PAYLOAD_INVALID, "$.sequence"),
        (f'{{{TIME},"sequence":{2**63},{HEART}}}', Code.PAYLOAD_INVALID, "$.sequence"),
        (f'{{{TIME},"site":"left arm",{HEART}}}', Code.PAYLOAD_INVALID, "$.site"),
        (f'{{"message_id":"{"x" * 65}",{TIME},{HEART}}}', Code.PAYLOAD_INVALID, "$.message_id"),
        (f'{{{TIME},"readings":[{{"code":"8867-4","vaule":72,"unit":"/min"}}]}}', Code.FIELD_UNKNOWN, "$.readings[0].vaule"),
        (
            f'{{{TIME},"readings":[{{"code":"85354-9","components":[{{"code":"8480-6","value":1,"unit":"kPa","x":1}}]}}]}}',
            Code.FIELD_UNKNOWN,
            "$.readings[0].components[0].x",
        ),
        (f'{{{TIME},"code":"85354-9","components":[]}}', Code.PANEL_INVALID, "$.components"),
        (f'{{{TIME},"code":"85354-9","components":[],"value":1}}', Code.PANEL_INVALID, "$.value"),
        (f'{{{TIME},{HEART},"value":73}}', Code.PAYLOAD_INVALID, "$.value"),
        (f'{{{TIME},{HEART},"valu\\u0065":73}}', Code.PAYLOAD_INVALID, "$.value"),
        (f'{{{TIME},"readings":[{{{HEART},"unit":"/min"}}]}}', Code.PAYLOAD_INVALID, "$.readings[0].unit"),
        (f'{{{TIME},"code" :"8867-4","value" : 72,"value":73,"unit":"/min"}}', Code.PAYLOAD_INVALID, "$.value"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_code_and_path(payload: str | bytes, code: Code, field: str) -> None:
    refused = refusal(payload)
    assert (refused.code, refused.field) == (code, field)


@pytest.mark.parametrize(
    "payload",
    [
        f'{{{TIME},"code":"8867-4","value":"123456","unit":"/min"}}',
        f'{{{TIME},"code":"8867-4","value":123456,"unit":123456}}',
        f'{{{TIME},"code":"8867-4","value":[123456],"unit":"/min"}}',
        f'{{{TIME},"readings":[{{"code":"8867-4","value":123456,"unit":"/min","my value 123456":1}}]}}',
        f'{{{TIME},"value":123456,"value":123456}}',
        f'{{"time":"123456",{HEART}}}',
        f'{{{TIME},"code":"8867-4","value":123456 "unit":"/min"}}',
        f'{{{TIME},"code":"8867-4","value":1e123456,"unit":"/min"}}',
        f'{{{TIME},"value of 123456":1,"code":1}}',
    ],
)
def test_words_never_hold_what_the_device_measured(payload: str) -> None:
    refused = refusal(payload)
    assert "123456" not in refused.words + refused.field


def test_every_stream_of_every_device_model_has_a_decoder() -> None:
    for model in MODELS:
        assert set(model.streams.values()) <= DECODERS.keys(), model.name


def test_the_schema_closes_readings_to_unknown_fields() -> None:
    definitions = schema()["$defs"]
    for name in ("Message", "ReadingForm", "Component"):
        assert definitions[name]["additionalProperties"] is False
    assert definitions["ReadingForm"]["required"] == ["code"]


def test_times_keep_their_microseconds() -> None:
    [reading] = decode(f'{{"time":"2026-11-22T10:00:00.123456Z",{HEART}}}'.encode()).readings
    assert from_datetime(to_datetime(reading.time)) == reading.time == INSTANT - 250_000 + 123_456
