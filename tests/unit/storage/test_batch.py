from contracts import frames
from contracts.errors import Code
from contracts.frames import Coordinates, Origin
from contracts.observation import Observation, VitalsFrame
from contracts.topics import LEDGER, RAW, VITALS
from storage import batch
from storage.pieces import Source
from tests.support.storing import Record


def test_the_span_of_a_partition_reaches_from_its_first_record_behind_its_last() -> None:
    found = batch.decode([Record(LEDGER.name, 1, offset, b"?") for offset in (4, 5, 6)], now=0)
    assert found.spans == {(LEDGER.name, 1): (4, 7)}
    assert found.refusals == [(LEDGER.name, Code.PAYLOAD_UNDECODABLE)] * 3


def test_an_unreadable_vitals_record_stands_for_the_messages_its_header_names() -> None:
    record = Record(VITALS.name, 2, 5, b"?", frames.vitals_headers([Origin(3, 9, 12, 4)]))
    found = batch.decode([record], now=0)
    (refused,) = found.refused_vitals
    assert (refused.source, refused.messages, refused.readings) == (Source(3, 9, 2), 4, 12)
    (aside,) = found.set_aside
    assert (aside.message.messages, aside.message.index, aside.raw_source) == (4, -1, "agora.raw.v1/3/9")


def test_an_unreadable_record_of_several_raw_records_stands_for_each_of_them() -> None:
    record = Record(VITALS.name, 2, 5, b"?", frames.vitals_headers([Origin(3, 9, 12, 4), Origin(4, 1, 2, 1)]))
    found = batch.decode([record], now=0)
    assert [(one.source, one.messages, one.readings) for one in found.refused_vitals] == [
        (Source(3, 9, 2), 4, 12),
        (Source(4, 1, 2), 1, 2),
    ]
    assert [(aside.message.index, aside.message.messages, aside.raw_source) for aside in found.set_aside] == [
        (-1, 4, "agora.raw.v1/3/9"),
        (-2, 1, "agora.raw.v1/4/1"),
    ]


def test_a_record_whose_origins_tell_of_more_readings_than_it_holds_is_set_aside() -> None:
    record = Record(VITALS.name, 2, 5, frames.encode(VitalsFrame([])), frames.vitals_headers([Origin(3, 9, 2, 1)]))
    found = batch.decode([record], now=0)
    assert (found.vitals, found.observations) == ([], [])
    assert [one.source for one in found.refused_vitals] == [Source(3, 9, 2)]


def test_a_vitals_record_without_its_source_is_set_aside_since_the_ledger_could_not_count_it() -> None:
    record = Record(VITALS.name, 2, 5, b"\x91\x90", frames.headers(0))
    found = batch.decode([record], now=0)
    assert found.vitals == []
    assert len(found.set_aside) == 1


def test_a_record_from_before_it_could_hold_several_raw_records_is_taken_and_counted() -> None:
    made = [Observation(b"", "o", "d", "s", "8867-4", "", 70.0, "/min", 0, 0, 0, 0, message=number) for number in (0, 4)]
    headers = [*frames.headers(2, Coordinates(RAW.name, 3, 9)), ("agora-owned", b"2")]
    found = batch.decode([Record(VITALS.name, 2, 5, frames.encode(VitalsFrame(made)), headers)], now=0)
    assert found.refusals == []
    assert [(one.source, len(one.parts)) for one in found.vitals] == [(Source(3, 9, 2), 2)]
    assert frames.origins_of(headers) == [Origin(3, 9, 2, 2)]


def test_a_header_that_is_no_number_does_not_hinder_setting_the_record_aside() -> None:
    headers = [("agora-count", b"many"), ("agora-origins", b"\xff")]
    found = batch.decode([Record(VITALS.name, 2, 5, b"?", headers)], now=0)
    assert [aside.message.messages for aside in found.set_aside] == [0]


def test_no_records_make_an_empty_batch() -> None:
    found = batch.decode([], now=0)
    assert (found.spans, found.vitals, found.rows) == ({}, [], [])


def test_a_message_with_a_number_below_zero_is_of_no_record_of_ours() -> None:
    for numbers in ((-1,), (-7, -8), (0, -1)):
        made = [Observation(b"", "o", "d", "s", "8867-4", "", 70.0, "/min", 0, 0, 0, 0, message=number) for number in numbers]
        headers = frames.vitals_headers([Origin(3, 9, len(made), 1)])
        found = batch.decode([Record(VITALS.name, 2, 5, frames.encode(VitalsFrame(made)), headers)], now=0)
        assert (found.vitals, found.observations, len(found.set_aside)) == ([], [], 1)
