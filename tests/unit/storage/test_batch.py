from contracts import frames
from contracts.errors import Code
from contracts.frames import Coordinates
from contracts.topics import LEDGER, VITALS
from storage import batch
from tests.support.storing import Record

RAW_SOURCE = Coordinates("agora.raw.v1", 3, 9)


def test_the_span_of_a_partition_reaches_from_its_first_record_behind_its_last() -> None:
    found = batch.decode([Record(LEDGER.name, 1, offset, b"?") for offset in (4, 5, 6)], now=0)
    assert found.spans == {(LEDGER.name, 1): (4, 7)}
    assert found.refusals == [(LEDGER.name, Code.PAYLOAD_UNDECODABLE)] * 3


def test_an_unreadable_vitals_record_stands_for_the_messages_its_header_names() -> None:
    record = Record(VITALS.name, 2, 5, b"?", frames.headers(12, RAW_SOURCE, owned=4))
    found = batch.decode([record], now=0)
    (refused,) = found.refused_vitals
    assert (refused.source, refused.messages, refused.readings) == (batch.Source(3, 9, 2), 4, 12)
    (aside,) = found.set_aside
    assert (aside.message.messages, aside.message.index, aside.raw_source) == (4, -1, "agora.raw.v1/3/9")


def test_a_vitals_record_without_its_source_is_set_aside_since_the_ledger_could_not_count_it() -> None:
    record = Record(VITALS.name, 2, 5, b"\x91\x90", frames.headers(0))
    found = batch.decode([record], now=0)
    assert found.vitals == []
    assert len(found.set_aside) == 1


def test_a_header_that_is_no_number_does_not_hinder_setting_the_record_aside() -> None:
    headers = [("agora-count", b"many"), ("agora-source", b"agora.raw.v1/3/9"), ("agora-owned", b"\xff")]
    found = batch.decode([Record(VITALS.name, 2, 5, b"?", headers)], now=0)
    assert [aside.message.messages for aside in found.set_aside] == [0]


def test_no_records_make_an_empty_batch() -> None:
    found = batch.decode([], now=0)
    assert (found.spans, found.vitals, found.rows) == ({}, [], [])
