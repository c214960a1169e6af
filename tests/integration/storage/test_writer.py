import asyncio
import json
from dataclasses import replace

import pytest

from contracts import frames
from contracts.alerts import AlertTransition, Severity, Transition, alert_id, encode
from contracts.observation import decode_vitals
from contracts.quarantine import QuarantinedMessage
from contracts.topics import ALERTS, LEDGER, QUARANTINE, RAW, VITALS
from deploy.local.stack import Stack
from runtime import clock
from storage.rows import EPOCH_2000
from tests.support.storing import (
    HEART_RATE,
    SPO2,
    Bench,
    Message,
    Reading,
    Record,
    database,
    in_turn,
    new_clinic,
    one,
    query,
)


async def test_readings_and_ledger_rows_come_in_one_transaction_with_the_position(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a", "b"), Bench(stack)
    now = clock.now()
    records = bench.frame(clinic, one(70, now), Message("b", [Reading(98, now, 1, SPO2, "finger"), Reading(61, now, 1)]))
    async with bench.writer() as writer:
        await writer.write(records)
    assert clinic.rows() == [("a", HEART_RATE, "", 0, 70.0), ("b", SPO2, "finger", 1, 98.0), ("b", HEART_RATE, "", 1, 61.0)]
    assert clinic.counts() == {"received": 2, "accepted": 2, "readings": 3, "stored": 2, "readings_stored": 3}
    assert query(clinic.owner, "SELECT next FROM offsets WHERE (topic, partition) = (%s, %s)", VITALS.name, bench.vitals) == [
        (1,)
    ]


async def test_the_stored_instants_are_exact_to_the_microsecond(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    instant = 1_700_000_000_123_457
    async with bench.writer() as writer:
        await writer.write(bench.frame(clinic, one(70, instant)))
    statement = (
        "SELECT (extract(epoch FROM device_time) * 1000000)::bigint, effective_at = device_time FROM readings WHERE device = %s"
    )
    assert query(clinic.owner, statement, f"{clinic.name}/a") == [(instant, True)]


async def test_a_duplicate_is_counted_and_not_stored_twice_in_the_batch_and_across_batches(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    now = clock.now()
    async with bench.writer() as writer:
        await writer.write(in_turn(bench.frame(clinic, one(70, now)), bench.frame(clinic, one(70, now))))
        await writer.write(in_turn(bench.frame(clinic, one(70, now)), bench.frame(clinic, one(71, now + 1))))
    assert [row[4] for row in clinic.rows()] == [70.0, 71.0]
    assert clinic.counts() == {
        "received": 4, "accepted": 4, "readings": 4, "stored": 2, "duplicate_store": 2, "readings_stored": 2,
        "readings_duplicate": 2,
    }  # fmt: skip
    assert clinic.quarantine() == []


async def test_another_value_for_the_same_identity_is_quarantined_and_never_silently_dropped(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    now = clock.now()
    async with bench.writer() as writer:
        await writer.write(bench.frame(clinic, one(70, now)))
        await writer.write(
            in_turn(bench.frame(clinic, one(71, now)), bench.frame(clinic, one(70, now)), bench.frame(clinic, one(71, now)))
        )
    assert [row[4] for row in clinic.rows()] == [70.0]
    counts = clinic.counts()
    assert (counts["stored"], counts["duplicate_store"], counts["quarantined_store"]) == (1, 1, 2)
    first, second = clinic.quarantine()
    assert first[:4] == ("conflict", "a", 1, f"agora.raw.v1/{bench.raw}/1/0")
    assert json.loads(second[4])["observation"]["value"] == 71.0


async def test_the_first_of_two_conflicting_values_in_one_batch_wins(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    now = clock.now()
    async with bench.writer() as writer:
        await writer.write(bench.frame(clinic, Message("a", [Reading(80, now), Reading(81, now), Reading(80, now)])))
    assert [row[4] for row in clinic.rows()] == [80.0]
    assert clinic.counts()["stored"] == 1
    assert {name: number for name, number in clinic.counts().items() if name.startswith("readings_")} == {
        "readings_stored": 1, "readings_duplicate": 1, "readings_quarantined": 1,
    }  # fmt: skip
    # The message counts as stored, so its refused reading stands for no message.
    assert [row[2] for row in clinic.quarantine()] == [0]


async def test_a_second_pass_over_a_raw_record_is_counted_once(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    now = clock.now()
    first = bench.frame(clinic, one(70, now), one(75, now))
    again = bench.place(*first)
    async with bench.writer() as writer:
        await writer.write(first)
        await writer.write(again)
    assert clinic.counts() == {
        "received": 2, "accepted": 2, "readings": 2, "stored": 1, "quarantined_store": 1, "readings_stored": 1,
        "readings_quarantined": 1,
    }  # fmt: skip
    assert len(clinic.quarantine()) == 1


async def test_a_record_that_cannot_be_decoded_is_quarantined_whole_and_the_ledger_closes(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    good = bench.frame(clinic, one(70, clock.now()))
    bad = bench.frame(clinic, one(71, clock.now()), one(72, clock.now(), sequence=1))
    bad[0] = replace(bad[0], value=b"\xc1 not msgpack")
    after = bench.frame(clinic, one(73, clock.now()))
    async with bench.writer() as writer:
        await writer.write(in_turn(good, bad, after))
        assert writer.positions[VITALS.name, bench.vitals] == 3
    assert [row[4] for row in clinic.rows()] == [70.0, 73.0]
    source = f"{VITALS.name}/{bench.vitals}/1"
    found = query(
        clinic.owner, "SELECT source_index, messages, code, payload, raw_source FROM quarantine WHERE source = %s", source
    )
    assert found == [(-1, 2, "payload-undecodable", b"\xc1 not msgpack", f"{RAW.name}/{bench.raw}/1")]
    assert query(
        clinic.owner, "SELECT messages_quarantined FROM ledger_stored WHERE (raw_partition, raw_offset) = (%s, 1)", bench.raw
    ) == [(2,)]


@pytest.mark.parametrize("topic", [LEDGER.name, QUARANTINE.name, ALERTS.name, VITALS.name])
@pytest.mark.parametrize("value", [None, b"", b"\xff" * 20, b"[]", b"\x90"])
async def test_no_bytes_on_any_topic_stop_the_store(stack: Stack, topic: str, value: bytes | None) -> None:
    bench = Bench(stack)
    records = bench.place(
        Record(topic, bench.raw, 0, value), Record(topic, bench.raw, 0, value, [("agora-source", b"?"), ("agora-origins", b"?")])
    )
    async with bench.writer() as writer:
        await writer.write(records)
        assert writer.positions[topic, bench.raw] == 2


async def test_a_reading_the_database_refuses_is_found_among_its_neighbours(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    now = clock.now()
    out_of_range = 9_223_371_331_200_000_000 + EPOCH_2000  # the first instant that is too late for PostgreSQL
    messages = [[one(60 + number, now + number, sequence=number)] for number in range(9)]
    messages[4] = [one(70, now + 500), one(71, out_of_range), one(72, now + 501)]
    async with bench.writer() as writer:
        await writer.write(in_turn(*(bench.frame(clinic, *group) for group in messages)))
    values = sorted(row[4] for row in clinic.rows())
    assert 71.0 not in values
    assert {70.0, 72.0} < set(values)
    assert [row[:3] for row in clinic.quarantine()] == [("payload-invalid", "a", 1)]
    assert clinic.counts()["quarantined_store"] == 1


async def test_a_number_too_large_for_its_column_is_quarantined(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    async with bench.writer() as writer:
        await writer.write(bench.frame(clinic, one(70, clock.now(), sequence=2**63), one(71, clock.now())))
    assert [row[4] for row in clinic.rows()] == [71.0]
    assert [row[:3] for row in clinic.quarantine()] == [("payload-invalid", "a", 1)]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (one(70, 1_700_000_000_000_000, device="nobody"), "device-unknown"),
        (Message("a", [Reading(70, 1_700_000_000_000_000)], subject="nobody"), "unassigned"),
        (one(70, 1_700_000_000_000_000, vital="0000-0"), "vital-unknown"),
        (Message("a", [Reading(70, 1_700_000_000_000_000)], subject="no\0body"), "unassigned"),
        (one(70, 1_700_000_000_000_000, site="left\0arm"), "payload-invalid"),
        (one(70, 1_700_000_000_000_000, site="".join(map(chr, range(5_000, 15_000)))), "payload-invalid"),
    ],
)
async def test_a_reading_that_refers_to_nothing_known_is_quarantined(stack: Stack, message: Message, code: str) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    async with bench.writer() as writer:
        await writer.write(bench.frame(clinic, message, one(71, clock.now())))
    assert [row[4] for row in clinic.rows()] == [71.0]
    assert [(row[0], row[2]) for row in clinic.quarantine()] == [(code, 1)]
    assert (clinic.counts()["stored"], clinic.counts()["quarantined_store"]) == (1, 1)


async def test_a_record_of_a_device_whose_name_no_database_can_hold_is_set_aside_and_the_others_are_stored(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    frames_of_both = in_turn(*(bench.frame(clinic, one(70, clock.now(), device=device)) for device in ("no\0body", "a")))
    async with bench.writer() as writer:
        await writer.write(frames_of_both)
    assert [row[0] for row in clinic.rows()] == ["a"]
    found = query(clinic.owner, "SELECT code FROM quarantine WHERE source = %s", f"{VITALS.name}/{bench.vitals}/0")
    assert found == [("payload-invalid",)]


async def test_a_device_that_is_enrolled_a_moment_later_is_waited_for(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack, wait=10.0)
    async with bench.writer() as writer:
        writing = asyncio.create_task(writer.write(bench.frame(clinic, one(70, clock.now(), device="late"))))
        await asyncio.sleep(0.5)
        clinic.enrol("late")
        await asyncio.wait_for(writing, 5)
    assert [row[0] for row in clinic.rows()] == ["late"]


async def test_quarantine_rows_and_alerts_come_alone_and_repeat_without_harm(stack: Stack) -> None:
    bench = Bench(stack)
    message = QuarantinedMessage(
        f"{RAW.name}/{bench.raw}/7",
        3,
        "o",
        "d",
        "normalise",
        "field-unknown",
        "words",
        "$.a\0b",
        "topic",
        b"\0\xff",
        10**15,
        10**15,
        "0",
    )
    alert = AlertTransition(
        alert_id("s", "r", bench.raw), "o", "s", "r", 1, HEART_RATE, Transition.RAISED, Severity.WARNING, 10**15, 10**15, 1,
        note="called",
    )  # fmt: skip
    quarantined = Record(QUARANTINE.name, bench.raw, 0, frames.encode(message), frames.headers(1))
    raised = Record(ALERTS.name, bench.raw, 0, encode(alert))
    records = bench.place(
        quarantined, quarantined, raised, raised, replace(raised, value=encode(alert).replace(b'"number":1', b'"number":2'))
    )
    async with bench.writer() as writer:
        await writer.write(records[:1])
        await writer.write(records[1:])
    owner = database(stack, "owner")
    assert query(owner, "SELECT field, payload FROM quarantine WHERE source = %s", message.source) == [
        ("$.a\N{SYMBOL FOR NULL}b", b"\0\xff")
    ]
    stored = query(owner, "SELECT number, note FROM alert_transitions WHERE alert = %s ORDER BY 1", alert.alert)
    assert stored == [(1, "called"), (2, "called")]


async def test_a_ledger_row_that_does_not_add_up_is_set_aside_alone(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    first = bench.frame(clinic, one(70, clock.now()))
    wrong = replace(bench.frame(clinic, one(71, clock.now()))[1])
    assert wrong.value is not None
    broken = replace(wrong, value=wrong.value.replace(b"\x01\x00\x01\x00\x00\x01", b"\x05\x00\x01\x00\x00\x01"))
    assert broken.value != wrong.value
    async with bench.writer() as writer:
        await writer.write([*first, broken])
    assert clinic.count() == 1
    found = query(clinic.owner, "SELECT code FROM quarantine WHERE source = %s", f"{LEDGER.name}/{bench.raw}/1")
    assert found == [("payload-invalid",)]
    # Entered at last, so that the books of this partition close.
    async with bench.writer() as writer:
        await writer.write(bench.place(wrong))
    assert clinic.counts()["accepted"] == 2


async def test_the_vitals_of_the_catalogue_stand_in_the_database(stack: Stack) -> None:
    from catalogue.registry import VITALS as ENTRIES

    async with Bench(stack).writer():
        stored = query(database(stack, "owner"), "SELECT code, display, unit FROM vitals")
    assert {(entry.code, entry.display, entry.unit) for entry in ENTRIES} <= set(stored)


async def test_readings_of_one_message_that_do_not_stand_together_still_count_as_one_message(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a", "b"), Bench(stack)
    now = clock.now()
    frame, outcome = bench.frame(clinic, Message("a", [Reading(70, now), Reading(97, now, 0, SPO2)]), one(80, now, device="b"))
    assert frame.value is not None
    first, second, third = decode_vitals(frame.value).observations
    mixed = replace(frame, value=frames.encode(type(decode_vitals(frame.value))([first, third, second])))
    async with bench.writer() as writer:
        await writer.write([mixed, outcome])
    assert clinic.counts()["stored"] == 2
    assert clinic.counts()["readings_stored"] == 3
