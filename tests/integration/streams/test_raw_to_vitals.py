"""Raw frames in, observations, ledger, quarantine and words to devices out; on real Kafka, by the real worker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from contracts.down import decode_record
from contracts.errors import Code
from contracts.frames import Coordinates, origins_of
from contracts.instants import DAY, MINUTE, to_text
from contracts.observation import Observation
from contracts.quarantine import decode_quarantined
from contracts.registry import Loan
from contracts.topics import DOWN, LEDGER, QUARANTINE, VITALS
from deploy.local.stack import Stack
from runtime import clock
from tests.support.normalising import ORG, World, by_source, device, message, payload, raw_partition


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    async with World(stack) as made:
        now = clock.now()
        shared = device("shared", "early").model_copy(
            update={"loans": (Loan(start=0, end=now - MINUTE, subject="early"), Loan(start=now - MINUTE, subject="late"))}
        )
        people = {"cuff": "anna", "thermometer": "bert", "oximeter": "carl", "scale": "emil"}
        await made.enrol(shared, *(device(name, subject) for name, subject in people.items()))
        stack.start_process("streams", wait=True)
        await made.mark(VITALS, LEDGER, QUARANTINE, DOWN)
        yield made
        stack.stop_process("streams")


async def observations(world: World, enough: int) -> list[tuple[Coordinates, Observation]]:
    found: list[tuple[Coordinates, Observation]] = []

    def complete(records: list[object]) -> bool:
        found.clear()
        for record in records:
            found.extend((source, one) for source, own in by_source(record) for one in own)
        return len(found) >= enough

    await world.read(VITALS, complete)
    return found


async def test_a_frame_becomes_observations_and_a_ledger_row_that_names_it(world: World) -> None:
    now = clock.now()
    body = (
        b'{"sequence":5,"time":"2026-11-22T10:00:00Z","readings":[{"code":"85354-9","components":['
        b'{"code":"8480-6","value":16,"unit":"kPa"},{"code":"8462-4","value":80,"unit":"mm[Hg]"}]}]}'
    ).replace(b"2026-11-22T10:00:00Z", to_text(now).encode())
    sent = await world.send(raw_partition("cuff"), [message("cuff", body, now)])
    rows = await world.outcomes([sent])
    [row] = rows[sent.partition, sent.offset]
    [counts] = row.devices
    assert (counts.org, counts.device, counts.received, counts.accepted, counts.readings) == (ORG, "cuff", 1, 1, 2)
    found = await observations(world, 2)
    assert {source for source, _ in found} == {sent}
    systolic = next(one for _, one in found if one.vital == "8480-6")
    assert systolic.unit == "mm[Hg]"
    assert systolic.value == pytest.approx(120.01, abs=0.01)
    assert systolic.subject == "anna"
    assert systolic.panel == "85354-9"


async def test_what_cannot_be_taken_is_quarantined_with_its_reason_and_the_device_is_told(world: World) -> None:
    now = clock.now()
    wrong = f'{{"time":"{to_text(now)}","code":"8310-5","value":98,"unit":"F"}}'.encode()
    neighbours = [message("thermometer", payload(now, 1)), message("thermometer", wrong), message("thermometer", payload(now, 2))]
    sent = await world.send(raw_partition("thermometer"), neighbours)
    rows = await world.outcomes([sent])
    [counts] = rows[sent.partition, sent.offset][0].devices
    assert (counts.received, counts.accepted, counts.quarantined) == (3, 2, 1)
    [record] = await world.read(QUARANTINE, lambda records: len(records) >= 1)
    kept = decode_quarantined(record.value)
    assert (kept.source, kept.index, kept.code, kept.field) == (str(sent), 1, Code.UNIT_NOT_ALLOWED, "$.unit")
    assert kept.payload == wrong
    [told] = await world.read(DOWN, lambda records: len(records) >= 1)
    said = decode_record(told.value)
    assert (said.org, said.device, said.payload.code) == (ORG, "thermometer", Code.UNIT_NOT_ALLOWED)
    assert "did you mean [degF]" in said.payload.words


async def test_a_record_that_is_no_frame_is_quarantined_whole_and_the_stream_goes_on(world: World) -> None:
    partition = raw_partition("oximeter")
    poison = [await world.send_bytes(partition, value, 7) for value in (b"\xc1poison", b"[[[[", b"", b"\x91" * 5000)]
    after = await world.send(partition, [message("oximeter", payload(clock.now(), 1))])
    rows = await world.outcomes([*poison, after])
    for one in poison:
        [counts] = rows[one.partition, one.offset][0].devices
        assert (counts.device, counts.received, counts.quarantined) == ("", 7, 7)
    assert rows[after.partition, after.offset][0].devices[0].accepted == 1
    kept = [decode_quarantined(record.value) for record in await world.read(QUARANTINE, lambda records: len(records) >= 4)]
    assert {one.payload for one in kept} == {b"\xc1poison", b"[[[[", b"", b"\x91" * 5000}


async def test_readings_of_one_message_that_fall_in_two_loans_go_to_two_subjects_and_are_accounted_once(world: World) -> None:
    now = clock.now()
    body = (
        f'{{"readings":[{{"code":"8867-4","value":60,"unit":"/min","time":"{to_text(now - 10 * MINUTE)}"}},'
        f'{{"code":"8867-4","value":61,"unit":"/min","time":"{to_text(now)}"}}]}}'
    ).encode()
    sent = await world.send(raw_partition("shared"), [message("shared", body, now)])
    await world.outcomes([sent])
    found = await observations(world, 2)
    assert {(one.subject, one.value, one.owner) for _, one in found} == {("early", 60.0, True), ("late", 61.0, False)}
    records = await world.read(VITALS, lambda records: len(records) >= 2)
    assert sorted(origin.messages for record in records for origin in origins_of(record.headers)) == [0, 1]


async def test_a_registry_change_counts_for_the_next_frame(world: World) -> None:
    partition, now = raw_partition("new"), clock.now()
    before = await world.send(partition, [message("new", payload(now, 1))])
    assert (await world.outcomes([before]))[partition, before.offset][0].devices[0].quarantined == 1
    await world.enrol(device("new", "dora"))
    offsets = [before]
    for sequence in range(2, 40):
        sent = await world.send(partition, [message("new", payload(now, sequence))])
        offsets.append(sent)
        if (await world.outcomes([sent]))[partition, sent.offset][0].devices[0].accepted:
            break
    else:
        pytest.fail("the enrolment never arrived")
    await world.enrol(device("new", "dora").model_copy(update={"retired": True}))


async def test_a_wild_clock_is_quarantined_and_a_resend_is_a_duplicate(world: World) -> None:
    partition, now = raw_partition("scale"), clock.now()
    first = await world.send(partition, [message("scale", payload(now, 1)), message("scale", payload(now - 500 * DAY, 2))])
    second = await world.send(partition, [message("scale", payload(now, 1))])
    rows = await world.outcomes([first, second])
    assert rows[partition, first.offset][0].devices[0].accepted == 1
    assert rows[partition, first.offset][0].devices[0].quarantined == 1
    assert rows[partition, second.offset][0].devices[0].duplicate == 1
