"""The ledger on real Kafka and TimescaleDB, with the store as a process, and the commands that read it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from contracts import frames
from contracts.frames import Coordinates, decode_raw
from contracts.outcomes import DeviceOutcome, RawOutcome
from contracts.quarantine import QuarantinedMessage
from contracts.topics import LEDGER, QUARANTINE, RAW, VITALS
from deploy.local.instance import CHECKOUT
from deploy.local.stack import Stack
from runtime import clock
from storage import ledger
from storage.database import connect
from storage.ledger import Closing
from storage.ledger_report import Gap, gaps
from storage.log_reads import open_log
from storage.quarantine import LONG_AGO
from tests.support.storing import (
    SPO2,
    Clinic,
    Feeder,
    Message,
    Reading,
    Record,
    broker,
    connected,
    database,
    derive,
    new_clinic,
    one,
    query,
)


@pytest.fixture
def store(stack: Stack) -> Iterator[Stack]:
    stack.start_process("store", wait=True)
    yield stack
    stack.stop_process("store")


async def balance(stack: Stack) -> Closing:
    return await ledger.closing(database(stack, "operator"), broker(stack, "operator"))


async def settled(stack: Stack, seconds: float = 30) -> Closing:
    return await ledger.settle(database(stack, "operator"), broker(stack, "operator"), seconds)


def agora(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = stack.settings("operator") | {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "COLUMNS": "140"}
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=60)


async def test_a_message_becomes_a_row_and_the_ledger_closes(store: Stack) -> None:
    clinic = new_clinic(store, "a")
    async with Feeder(store, clinic) as feeder:
        await feeder.publish(one(70, clock.now()), Message("a", [Reading(97, clock.now(), 0, SPO2)]))
    closing = await settled(store)
    assert closing.closed, closing
    assert clinic.count() == 2


async def test_what_is_on_its_way_is_measured_in_kafka_while_no_store_runs(stack: Stack) -> None:
    clinic = new_clinic(stack, "a", "b")
    before = await balance(stack)
    async with Feeder(stack, clinic) as feeder:
        await feeder.publish(one(70, clock.now()), one(71, clock.now(), device="b"))
        await feeder.publish_raw([one(72, clock.now())])
    during = await balance(stack)
    assert (during.received - before.received, during.in_flight - before.in_flight) == (3, 3)
    assert during.difference == 0
    assert not during.settled
    # The normaliser comes round to the last one, and a store to all.
    await finish(stack, clinic, [one(72, clock.now())], feeder)
    closing = await settled(stack)
    stack.stop_process("store")
    assert closing.closed, closing


async def finish(stack: Stack, clinic: Clinic, messages: list[Message], feeder: Feeder) -> None:
    """Make what belongs to the last raw record of partition 0, and start a store."""
    async with open_log(broker(stack, "operator")) as log:
        end = (await log.ends([RAW]))[RAW.name, 0]
    async with Feeder(stack, clinic) as again:
        await again.publish_derived(Coordinates(RAW.name, 0, end - 1), messages)
    stack.start_process("store", wait=True)


async def test_readings_stored_before_their_ledger_row_came_are_not_counted_twice(store: Stack) -> None:
    clinic = new_clinic(store, "a")
    message = one(70, clock.now())
    before = await balance(store)
    async with Feeder(store, clinic) as feeder:
        raw = await feeder.publish_raw([message])
        vitals, outcome = derive(clinic, raw, [message])
        for record in vitals.values():
            await feeder.send(record)
        early = await until(store, lambda found: found.stored == before.stored + 1)
        assert (early.difference, early.in_flight) == (0, 0)
        await feeder.send(outcome)
    assert (await settled(store)).closed


async def test_a_raw_record_that_was_passed_over_shows_as_a_hole_until_it_was_sent_again(store: Stack) -> None:
    clinic = new_clinic(store, "a")
    async with Feeder(store, clinic) as feeder:
        await feeder.publish(one(70, clock.now()))
        lost = await feeder.publish_raw([one(71, clock.now()), one(72, clock.now())])
        await feeder.publish(one(73, clock.now()))
        closing = await until(store, lambda found: bool(found.holes) and found.settled)
        assert closing.holes == ((0, lost.offset, lost.offset),)
        assert closing.difference == 2
        assert not closing.closed
        shown = await asyncio.to_thread(agora, store, "ledger")
        assert shown.returncode == 1
        assert "Passed over: 1 raw records" in shown.stdout
        # As the keeper does: through again as replays, then the mark.
        await feeder.publish_replays([one(71, clock.now()), one(72, clock.now())])
    with connected(clinic.owner) as connection:
        connection.execute(
            "INSERT INTO ledger_raw (raw_partition, raw_offset, hour, received, replayed, accepted, duplicate, quarantined,"
            " readings, resent) VALUES (%s, %s, now(), 0, 0, 0, 0, 0, 0, true)",
            (lost.partition, lost.offset),
        )
    assert (await settled(store)).closed


async def until(stack: Stack, happened: Callable[[Closing], bool]) -> Closing:
    for _ in range(100):
        found = await balance(stack)
        if happened(found):
            return found
        await asyncio.sleep(0.2)
    raise AssertionError("it did not happen")


async def test_conflicts_duplicates_and_unreadable_records_leave_the_ledger_closed(store: Stack) -> None:
    clinic = new_clinic(store, "a")
    now = clock.now()
    async with Feeder(store, clinic) as feeder:
        await feeder.publish(one(70, now), one(70, now), one(71, now))
        messages = [one(80, now + 1), one(81, now + 2)]
        raw = await feeder.publish_raw(messages)
        vitals, outcome = derive(clinic, raw, messages)
        for record in vitals.values():
            await feeder.send(replace(record, value=b"\xc1"))
        await feeder.send(outcome)
        await feeder.publish(one(90, now + 3))
    closing = await settled(store)
    assert closing.closed, closing
    counts = clinic.counts()
    assert (counts["stored"], counts["duplicate_store"], counts["quarantined_store"]) == (2, 1, 1)


async def test_a_number_the_device_counted_and_nobody_saw_is_a_gap(store: Stack) -> None:
    clinic = new_clinic(store, "a", "b")
    now = clock.now()
    async with Feeder(store, clinic) as feeder:
        await feeder.publish(*(one(70, now + number, sequence=number) for number in (1, 2, 5, 6, 10)))
        await feeder.publish(*(one(70, now + number, sequence=number, device="b") for number in (1, 2)))
        await feeder.send(quarantined(clinic, b'{"readings": [{"sequence": 8}]}', 0))
    assert (await settled(store)).settled
    connection = await connect(database(store, "operator"))
    found = [gap for gap in await gaps(connection, LONG_AGO) if gap.org == clinic.name]
    await connection.close()
    assert found == [Gap(clinic.name, "a", *span) for span in ((3, 4), (7, 7), (9, 9))]


def quarantined(clinic: Clinic, payload: bytes, offset: int) -> Record:
    """Make a quarantined message of a raw record that was never there, so that the ledger does not know it."""
    message = QuarantinedMessage(
        f"{clinic.name}/0/{offset}", 0, clinic.name, "a", "normalise", "unassigned", "No subject.", "",
        f"agora/v1/{clinic.name}/a/up/vitals", payload, clock.now(), clock.now(), "0",
    )  # fmt: skip
    return Record(QUARANTINE.name, 0, 0, frames.encode(message), frames.headers(1))


async def test_a_replay_sends_the_message_as_it_came_and_is_marked_after_kafka_has_it(store: Stack) -> None:
    clinic = new_clinic(store, "a")
    async with Feeder(store, clinic) as feeder:
        await feeder.send(quarantined(clinic, b"one", 1))
        await feeder.send(quarantined(clinic, b"two", 2))
    assert (await settled(store)).settled
    listed = await asyncio.to_thread(agora, store, "quarantine", "list", "--device", f"{clinic.name}/a", "--json")
    rows = json.loads(listed.stdout)["rows"]
    assert {row["code"] for row in rows} == {"unassigned"}
    assert "payload" not in rows[0]
    ends = await raw_ends(store)
    done = await asyncio.to_thread(agora, store, "quarantine", "replay", "--device", f"{clinic.name}/a")
    assert "Sent 2 messages of 2 rows" in done.stdout, done.stdout + done.stderr
    sent = await raw_since(store, ends)
    assert [(one.payload, one.replay_of) for one in sent] == [(b"one", f"{clinic.name}/0/1/0"), (b"two", f"{clinic.name}/0/2/0")]
    assert (await asyncio.to_thread(agora, store, "quarantine", "list", "--device", f"{clinic.name}/a")).stdout.startswith(
        "Nothing"
    )
    await account_for_replays(store, clinic, ends)
    assert (await settled(store)).closed


async def test_a_refused_reading_is_replayed_from_its_raw_message(store: Stack) -> None:
    clinic = new_clinic(store, "a")
    now = clock.now()
    async with Feeder(store, clinic) as feeder:
        await feeder.publish(one(70, now), one(71, now))
    assert (await settled(store)).closed
    ((number,),) = query(clinic.owner, "SELECT quarantine_id FROM quarantine WHERE org = %s", clinic.name)
    ends = await raw_ends(store)
    done = await asyncio.to_thread(agora, store, "quarantine", "replay", str(number), "999999999")
    assert done.returncode == 1
    assert "999999999: there is no such number" in done.stdout
    (again,) = await raw_since(store, ends)
    assert (again.topic, again.payload) == (f"agora/v1/{clinic.name}/a/up/vitals", b"{}")
    assert again.replay_of is not None
    assert again.replay_of.startswith(f"{VITALS.name}/")
    await account_for_replays(store, clinic, ends)
    assert (await settled(store)).closed


async def raw_ends(stack: Stack) -> dict[int, int]:
    async with open_log(broker(stack, "operator")) as log:
        return {partition: end for (_, partition), end in (await log.ends([RAW])).items()}


async def raw_since(stack: Stack, ends: dict[int, int]) -> list[frames.RawMessage]:
    now = await raw_ends(stack)
    async with open_log(broker(stack, "operator")) as log:
        records = [record async for record in log.read(RAW, {place: (end, now[place]) for place, end in ends.items()})]
    return [message for record in records for message in decode_raw(record.value or b"").messages]


async def account_for_replays(stack: Stack, clinic: Clinic, ends: dict[int, int]) -> None:
    """Say, in the normaliser's place, that the replayed messages were quarantined once more."""
    now = await raw_ends(stack)
    async with Feeder(stack, clinic) as feeder, open_log(broker(stack, "operator")) as log:
        async for record in log.read(RAW, {place: (end, now[place]) for place, end in ends.items()}):
            count = frames.count_of(record.headers)
            outcome = RawOutcome(record.partition, record.offset, 0, [DeviceOutcome(clinic.name, "a", 0, count, 0, 0, count, 0)])
            await feeder.send(Record(LEDGER.name, record.partition, 0, frames.encode(outcome), frames.headers(count)))


async def test_the_payload_is_shown_on_request_only(store: Stack) -> None:
    clinic = new_clinic(store, "a")
    async with Feeder(store, clinic) as feeder:
        await feeder.send(quarantined(clinic, b"\x00\x01secret", 1))
    assert (await settled(store)).settled
    ((number,),) = query(clinic.owner, "SELECT quarantine_id FROM quarantine WHERE org = %s", clinic.name)
    shown = await asyncio.to_thread(agora, store, "quarantine", "show", str(number))
    assert "unassigned" in shown.stdout
    assert "Correct the loan periods" in shown.stdout
    assert "secret" not in shown.stdout
    asked = await asyncio.to_thread(agora, store, "quarantine", "show", str(number), "--payload")
    assert r"\x00\x01secret" in asked.stdout
    assert (await asyncio.to_thread(agora, store, "quarantine", "show", "999999999")).returncode == 1


async def test_tail_shows_a_reading_as_it_comes(store: Stack) -> None:
    clinic = new_clinic(store, "a")
    watching = asyncio.create_task(
        asyncio.to_thread(agora, store, "tail", "--device", f"{clinic.name}/a", "-n", "1", "--seconds", "30", "--json")
    )
    async with Feeder(store, clinic) as feeder:
        while not watching.done():
            await feeder.publish(one(70 + feeder.messages, clock.now()))
            await asyncio.sleep(0.3)
    shown = json.loads((await watching).stdout)
    assert (shown["device"], shown["vital"], shown["unit"]) == (f"{clinic.name}/a", "8867-4", "/min")
    assert (await settled(store)).closed


async def test_the_ledger_command_says_closed_and_tells_programs_the_counts(store: Stack) -> None:
    clinic = new_clinic(store, "a")
    async with Feeder(store, clinic) as feeder:
        await feeder.publish(one(70, clock.now()))
    shown = await asyncio.to_thread(agora, store, "ledger", "--wait", "20")
    assert shown.returncode == 0, shown.stdout
    assert "Closed: every message is accounted for." in shown.stdout
    told = json.loads((await asyncio.to_thread(agora, store, "ledger", "--device", f"{clinic.name}/a", "--json")).stdout)
    assert told["total"]["difference"] == 0
    assert [(row["device"], row["received"], row["stored"]) for row in told["devices"]] == [("a", 1, 1)]
