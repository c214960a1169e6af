from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from msgspec.structs import astuple

from contracts.errors import Code, Rejected
from contracts.frames import Coordinates, RawMessage
from contracts.instants import DAY, HOUR, MINUTE, SECOND, hour_of, to_text
from contracts.observation import Observation, Quality
from contracts.registry import ClockCorrection, DeviceRecord, Loan
from streams.directory import Directory
from streams.memory import Recent, Warnings
from streams.normalise import INDEX_BITS, Result, normalise, refuse_record

NOW = 1_795_341_600_000_000
SOURCE = Coordinates("agora.raw.v1", 3, 41)
REGISTRY: dict[str, DeviceRecord] = {
    "org/oximeter": DeviceRecord(org="org", device="oximeter", model="agora-oximeter", loans=(Loan(start=0, subject="anna"),)),
    "org/retired": DeviceRecord(org="org", device="retired", model="agora-generic", retired=True),
    "org/given-up": DeviceRecord(
        org="org",
        device="given-up",
        model="agora-generic",
        retired=True,
        retired_at=NOW - HOUR,
        loans=(Loan(start=NOW - DAY, end=NOW - 2 * HOUR, subject="anna"), Loan(start=NOW - HOUR - MINUTE, subject="bert")),
    ),
    "org/lent": DeviceRecord(
        org="org",
        device="lent",
        model="agora-generic",
        loans=(
            Loan(start=0, end=NOW - 2 * HOUR, subject="anna"),
            Loan(start=NOW - HOUR, end=NOW - 30 * MINUTE, subject="bert"),
            Loan(start=NOW - 40 * MINUTE, end=NOW - 20 * MINUTE, subject="carl"),
            Loan(start=NOW - 20 * MINUTE, subject="dora"),
        ),
    ),
    "org/drifting": DeviceRecord(
        org="org",
        device="drifting",
        model="agora-generic",
        loans=(Loan(start=0, subject="anna"),),
        corrections=(ClockCorrection(start=0, end=NOW - 300 * DAY, offset=NOW - MINUTE),),
    ),
    "org/futuristic": DeviceRecord(org="org", device="futuristic", model="from-the-future", loans=()),
}


def raw(body: object, device: str = "oximeter", stream: str = "vitals", replay_of: str | None = None) -> RawMessage:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RawMessage(f"agora/v1/org/{device}/up/{stream}", payload, NOW, None, None, replay_of)


def heart(value: float = 72, at: int = NOW, **more: object) -> dict[str, object]:
    return {"time": to_text(at), "code": "8867-4", "value": value, "unit": "/min", **more}


def run(
    *messages: RawMessage, recent: Recent | None = None, warnings: Warnings | None = None, source: Coordinates = SOURCE
) -> Result:
    memory = Recent(32) if recent is None else recent
    return normalise(messages, source, Directory(REGISTRY.get), memory, warnings or Warnings(), NOW, "1.2.3")


def observed(result: Result) -> list[Observation]:
    return [one for found in result.vitals.values() for one in found]


def refused(result: Result) -> tuple[str, str]:
    assert not result.vitals
    [kept] = result.quarantined
    return kept.code, kept.field


def test_a_reading_becomes_an_observation_in_canonical_units() -> None:
    result = run(raw(heart(1.2, sequence=7) | {"unit": "/s"}))
    [one] = observed(result)
    assert (one.org, one.device, one.subject, one.vital) == ("org", "oximeter", "anna", "8867-4")
    assert (one.value, one.unit, one.sequence, one.owner) == (72.0, "/min", 7, True)
    assert (one.device_time, one.effective_at, one.received_at) == (NOW, NOW, NOW)
    assert one.quality == Quality.SEQUENCED
    [row] = result.outcome.devices
    assert (row.received, row.accepted, row.readings) == (1, 1, 1)
    assert (result.outcome.partition, result.outcome.offset, result.outcome.hour) == (3, 41, hour_of(NOW))


@pytest.mark.parametrize(
    ("body", "quality"),
    [
        (heart(400), Quality.IMPLAUSIBLE),
        (heart(-1), Quality.IMPLAUSIBLE),
        (heart(estimated=True), Quality.ESTIMATED),
        (heart(test=True), Quality.TEST_DATA),
        (heart(sequence=1), Quality.SEQUENCED),
        (heart(at=NOW - 300 * SECOND), Quality.NONE),
        (heart(at=NOW - 301 * SECOND), Quality.LATE),
        (heart(at=NOW + 60 * SECOND), Quality.NONE),
        (heart(at=NOW + 61 * SECOND), Quality.CLOCK_SUSPECT),
        (heart(at=NOW - 400 * DAY), Quality.LATE),
        (heart(at=NOW + DAY), Quality.CLOCK_SUSPECT),
    ],
)
def test_quality_says_how_far_to_trust_a_reading(body: dict[str, object], quality: Quality) -> None:
    [one] = observed(run(raw(body)))
    assert Quality(one.quality) == quality


@pytest.mark.parametrize("at", [NOW - 400 * DAY - 1, NOW + DAY + 1])
def test_a_wild_clock_is_quarantined(at: int) -> None:
    assert refused(run(raw(heart(at=at)))) == (Code.CLOCK, "$.time")


def test_a_recorded_correction_moves_the_reading_and_lets_a_wild_clock_through() -> None:
    [one] = observed(run(raw(heart(at=0), "drifting")))
    assert one.device_time == 0
    assert one.effective_at == NOW - MINUTE
    assert Quality(one.quality) == Quality.CLOCK_CORRECTED


@pytest.mark.parametrize(
    ("at", "subject"),
    [(NOW - 3 * HOUR, "anna"), (NOW - HOUR, "bert"), (NOW - 21 * MINUTE, "carl"), (NOW - 20 * MINUTE, "dora")],
)
def test_the_subject_is_who_had_the_device_then(at: int, subject: str) -> None:
    [one] = observed(run(raw(heart(at=at), "lent")))
    assert one.subject == subject


@pytest.mark.parametrize("at", [NOW - 2 * HOUR, NOW - 35 * MINUTE])
def test_no_subject_or_two_is_never_a_guess(at: int) -> None:
    assert refused(run(raw(heart(at=at), "lent"))) == (Code.UNASSIGNED, "$.time")


def test_what_a_retired_device_measured_before_is_judged_by_its_loans() -> None:
    assert [one.subject for one in observed(run(raw(heart(at=NOW - 3 * HOUR), "given-up")))] == ["anna"]
    assert [one.subject for one in observed(run(raw(heart(at=NOW - HOUR - 1), "given-up")))] == ["bert"]
    assert refused(run(raw(heart(at=NOW - HOUR - 30 * MINUTE), "given-up"))) == (Code.UNASSIGNED, "$.time")


@pytest.mark.parametrize("at", [NOW - HOUR, NOW])
def test_what_it_measured_later_is_refused_whatever_its_loans_say(at: int) -> None:
    assert refused(run(raw(heart(at=at), "given-up"))) == (Code.DEVICE_RETIRED, "$.time")


def test_one_bad_reading_keeps_its_message_aside_and_not_its_neighbours() -> None:
    good, bad = heart(sequence=1), {"time": to_text(NOW), "readings": [heart(), heart(71) | {"unit": "bpm"}]}
    result = run(raw(good), raw(bad), raw(heart(73, sequence=2)))
    assert [one.value for one in observed(result)] == [72.0, 73.0]
    assert [one.message for one in observed(result)] == [0, 2]
    [kept] = result.quarantined
    assert (kept.index, kept.field, kept.software, kept.quarantined_at) == (1, "$.readings[1].unit", "1.2.3", NOW)
    [row] = result.outcome.devices
    assert (row.received, row.accepted, row.quarantined) == (3, 2, 1)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (raw(heart(), "nobody"), Code.DEVICE_UNKNOWN),
        (raw(heart(), "retired"), Code.DEVICE_RETIRED),
        (raw(heart(), stream="ecg"), Code.STREAM_UNKNOWN),
        (raw(heart(), "futuristic"), Code.STREAM_UNKNOWN),
        (RawMessage("agora/v1/org", b"", NOW), Code.TOPIC_MALFORMED),
        (raw(b"{"), Code.PAYLOAD_UNDECODABLE),
        (raw(heart() | {"code": "1-8"}), Code.VITAL_UNKNOWN),
        (raw(heart() | {"code": "85354-9"}), Code.PANEL_INVALID),
        (raw(heart() | {"unit": "bpm"}), Code.UNIT_UNKNOWN),
        (raw(heart() | {"unit": "mm[Hg]"}), Code.UNIT_NOT_ALLOWED),
        (raw(heart(1e308) | {"unit": "/s"}), Code.VALUE_NOT_FINITE),
    ],
)
def test_each_refusal_has_its_code(message: RawMessage, code: Code) -> None:
    result = run(message)
    assert refused(result)[0] == code
    [row] = result.outcome.devices
    assert row.quarantined == 1


def panel(*codes: str, panel_code: str = "85354-9") -> dict[str, object]:
    parts = [{"code": code, "value": 100, "unit": "mm[Hg]"} for code in codes]
    return {"time": to_text(NOW), "code": panel_code, "components": parts}


def test_a_panel_keeps_its_components_together() -> None:
    found = observed(run(raw(panel("8480-6", "8462-4"))))
    assert {(one.panel, one.vital, one.sequence) for one in found} == {("85354-9", "8480-6", 0), ("85354-9", "8462-4", 0)}
    assert len({one.id for one in found}) == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (panel("8480-6", "8480-6"), "$.components[1].code"),
        (panel("8867-4"), "$.components[0].code"),
        (panel("8480-6", panel_code="8867-4"), "$.code"),
    ],
)
def test_a_panel_holds_each_of_its_components_once(body: dict[str, object], field: str) -> None:
    code, path = refused(run(raw(body)))
    assert path == field
    assert code in (Code.PANEL_INVALID, Code.UNIT_NOT_ALLOWED)


def test_a_resend_is_a_duplicate_and_the_same_record_again_is_not() -> None:
    recent = Recent(32)
    first, again = raw(heart(sequence=1)), raw(heart(sequence=1))
    assert run(first, recent=recent).outcome.devices[0].accepted == 1
    later = run(again, recent=recent, source=SOURCE._replace(offset=42))
    assert (later.outcome.devices[0].duplicate, later.vitals) == (1, {})
    second_pass = run(first, recent=recent)
    assert second_pass.outcome.devices[0].accepted == 1


def test_a_replay_is_asked_of_the_store_again_whatever_was_seen_a_moment_ago() -> None:
    recent = Recent(32)
    assert run(raw(heart(sequence=1)), recent=recent).outcome.devices[0].accepted == 1
    again = raw(heart(sequence=1), replay_of="agora.raw.v1/3/41/0")
    [row] = run(again, recent=recent, source=SOURCE._replace(offset=42)).outcome.devices
    assert (row.replayed, row.accepted, row.duplicate) == (1, 1, 0)


def test_a_replay_is_counted_apart_and_the_device_is_not_told_again() -> None:
    result = run(raw(heart() | {"unit": "bpm"}, replay_of="agora.raw.v1/3/1/0"))
    [row] = result.outcome.devices
    assert (row.received, row.replayed, row.quarantined) == (0, 1, 1)
    assert result.down == []
    assert result.quarantined[0].replay_of == "agora.raw.v1/3/1/0"


def test_the_device_is_told_what_is_wrong_with_its_own_correlation() -> None:
    message = RawMessage("agora/v1/org/oximeter/up/vitals", b"{", NOW, b"\x01\x02", "m-1")
    [told] = run(message).down
    assert (told.org, told.device, told.what) == ("org", "oximeter", "errors")
    error = told.payload
    assert (error.code, error.severity, error.stream, error.correlation, error.message_id) == (
        Code.PAYLOAD_UNDECODABLE, "error", "vitals", "AQI", "m-1",
    )  # fmt: skip


def test_a_field_left_aside_is_warned_about_once() -> None:
    warnings = Warnings()
    body = heart(sequence=1) | {"battery": 80}
    first, second = run(raw(body), warnings=warnings), run(raw(body), warnings=warnings)
    assert [(one.payload.code, one.payload.severity) for one in first.down] == [(Code.FIELD_UNKNOWN, "warning")]
    assert second.down == []
    assert len(observed(first)) == 1


def test_a_warning_of_a_pass_that_is_gone_over_again_at_once_is_told_with_the_second() -> None:
    warnings = Warnings()
    messages = raw(heart() | {"battery": 80}), raw(heart(), device="nobody")
    first, second = run(*messages, warnings=warnings), run(*messages, warnings=warnings)
    second.warn_as(first)
    assert sorted(one.payload.code for one in second.down) == sorted([Code.FIELD_UNKNOWN, Code.DEVICE_UNKNOWN])


def test_a_fault_of_our_own_keeps_one_message_aside_and_its_neighbours_go_on() -> None:
    class Broken(Recent):
        def known(self, device: str, observations: Sequence[Observation], place: int) -> bool:
            if place % 2**INDEX_BITS == 1:
                raise ZeroDivisionError
            return super().known(device, observations, place)

    result = run(*(raw(heart(sequence=number)) for number in range(3)), recent=Broken(8))
    assert [kept.code for kept in result.quarantined] == [Code.INTERNAL]
    assert result.failures == ["ZeroDivisionError"]
    assert len(observed(result)) == 2


def test_readings_of_two_loans_are_accounted_by_the_record_of_the_first() -> None:
    body = {"readings": [heart(at=NOW - 3 * HOUR), heart(at=NOW)]}
    result = run(raw(body, "lent"))
    assert {(one.subject, one.owner) for one in observed(result)} == {("anna", True), ("dora", False)}
    assert sum(result.owned.values()) == 1


def test_ids_do_not_depend_on_the_subject_the_arrival_or_the_frame() -> None:
    [here] = observed(run(raw(heart(sequence=9))))
    elsewhere = RawMessage("agora/v1/org/oximeter/up/vitals", json.dumps(heart(sequence=9)).encode(), NOW + MINUTE)
    [there] = observed(run(raw(b"x"), elsewhere, source=SOURCE._replace(partition=1, offset=0)))
    assert here.id == there.id


def test_a_record_that_is_no_frame_is_kept_whole() -> None:
    result = refuse_record(b"\xc1", 7, SOURCE, NOW, "1.2.3")
    [kept] = result.quarantined
    assert (kept.payload, kept.source, kept.code) == (b"\xc1", "agora.raw.v1/3/41", Code.PAYLOAD_UNDECODABLE)
    [row] = result.outcome.devices
    assert (row.received, row.quarantined, row.device) == (7, 7, "")
    assert (kept.index, kept.messages) == (-1, 7)


def test_an_empty_frame_has_a_ledger_row_too() -> None:
    result = run()
    assert result.outcome.devices == []
    assert result.outcome.hour == hour_of(NOW)


def test_a_changed_record_counts_from_the_next_message() -> None:
    registry: dict[str, DeviceRecord] = {}
    directory = Directory(registry.get)
    topic = "agora/v1/org/oximeter/up/vitals"
    assert directory.route(topic).code == Code.DEVICE_UNKNOWN
    registry["org/oximeter"] = REGISTRY["org/oximeter"]
    directory.forget("org/oximeter")
    assert directory.route(topic).decode is not None
    directory.forget("org/other")


def test_a_route_that_refuses_is_no_exception_that_grows() -> None:
    directory = Directory(REGISTRY.get)
    routes = {directory.route("agora/v1/org/nobody/up/vitals") for _ in range(3)}
    assert len(routes) == 1
    assert not any(isinstance(part, Rejected) for part in astuple(routes.pop()))
