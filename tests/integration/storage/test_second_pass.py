"""A worker that was killed goes over the last raw records again, and remembers less than before: it may judge them otherwise."""

from dataclasses import replace

import pytest
from msgspec.structs import replace as replace_struct

from contracts import frames
from contracts.frames import Coordinates, Origin
from contracts.observation import VitalsFrame, decode_vitals
from contracts.outcomes import decode_outcome
from contracts.topics import RAW
from deploy.local.stack import Stack
from runtime import clock
from tests.support.storing import Bench, Clinic, Message, Record, derive, new_clinic, one


def judged(record: Record, column: str) -> Record:
    """Make the ledger record of a pass that took none of the messages."""
    row = decode_outcome(record.value or b"")
    devices = [
        type(found)(
            found.org,
            found.device,
            found.received,
            0,
            0,
            *((found.received, 0) if column == "duplicate" else (0, found.received)),
            0,
        )
        for found in row.devices
    ]
    return replace(record, value=frames.encode(type(row)(row.partition, row.offset, row.hour, devices)))


def part_of(bench: Bench, clinic: Clinic, *messages: Message) -> Record:
    """Make a vitals record of the first raw record that holds its first messages only, in the place of the whole one."""
    [record] = derive(clinic, Coordinates(RAW.name, bench.raw, 0), messages, partitions=1)[0].values()
    return replace(record, partition=bench.vitals)


def balance(clinic: Clinic) -> int:
    found = clinic.counts()
    outcomes = ("stored", "duplicate_normalise", "duplicate_store", "quarantined_normalise", "quarantined_store")
    return found.get("received", 0) + found.get("replayed", 0) - sum(found.get(name, 0) for name in outcomes)


@pytest.mark.parametrize("vitals_first", [False, True])
async def test_a_resend_that_was_a_duplicate_in_the_first_pass_only_is_counted_once(stack: Stack, vitals_first: bool) -> None:
    clinic, bench = new_clinic(stack, "a", "b"), Bench(stack)
    now = clock.now()
    original = bench.frame(clinic, one(70, now), one(71, now, "b"))
    vitals, outcome = bench.frame(clinic, one(70, now), one(71, now, "b"))
    first_pass = judged(outcome, "duplicate")
    second_pass = bench.place(outcome)
    async with bench.writer() as writer:
        await writer.write(original)
        if vitals_first:
            await writer.write([vitals])
            await writer.write([first_pass, *second_pass])
        else:
            await writer.write([first_pass])
            await writer.write([vitals, *second_pass])
    assert balance(clinic) == 0
    assert clinic.counts() == {
        "received": 4, "accepted": 4, "readings": 2, "stored": 2, "duplicate_store": 2, "readings_stored": 2,
        "readings_duplicate": 2,
    }  # fmt: skip


async def test_a_message_refused_in_the_first_pass_and_taken_in_the_second_is_counted_as_stored(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    vitals, outcome = bench.frame(clinic, one(70, clock.now()))
    async with bench.writer() as writer:
        await writer.write([judged(outcome, "quarantined")])
        await writer.write([vitals, *bench.place(outcome)])
    assert balance(clinic) == 0
    assert clinic.counts() == {"received": 1, "accepted": 1, "stored": 1, "readings_stored": 1}


async def test_a_message_taken_in_both_passes_beside_a_duplicate_stays_what_it_was(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    now = clock.now()
    vitals, outcome = bench.frame(clinic, one(70, now), one(71, now + 1))
    row = decode_outcome(outcome.value or b"")
    [found] = row.devices
    half = type(found)(found.org, found.device, 2, 0, 1, 1, 0, 1)
    first_pass = replace(outcome, value=frames.encode(type(row)(row.partition, row.offset, row.hour, [half])))
    first_vitals = part_of(bench, clinic, one(70, now))
    async with bench.writer() as writer:
        await writer.write([first_vitals, first_pass])
        await writer.write([replace(vitals, offset=vitals.offset + 1), *bench.place(outcome)])
    assert balance(clinic) == 0


@pytest.mark.parametrize("together", [False, True])
async def test_a_message_that_only_the_second_pass_gave_to_a_partition_is_counted(stack: Stack, together: bool) -> None:
    clinic, bench = new_clinic(stack, "a", "b"), Bench(stack)
    now = clock.now()
    vitals, outcome = bench.frame(clinic, one(70, now), one(71, now + 1, "b"))
    # By the first pass the second message's subject was one of another partition, whose record never reached Kafka.
    first = part_of(bench, clinic, one(70, now))
    again = [replace(vitals, offset=vitals.offset + 1), *bench.place(outcome)]
    async with bench.writer() as writer:
        for batch in [[first, outcome, *again]] if together else [[first, outcome], again]:
            await writer.write(batch)
    assert clinic.counts() == {"received": 2, "accepted": 2, "readings": 2, "stored": 2, "readings_stored": 2}


@pytest.mark.parametrize("together", [False, True])
async def test_a_message_given_to_a_partition_that_accounted_for_none_in_the_first_pass_is_counted(
    stack: Stack, together: bool
) -> None:
    clinic, bench = new_clinic(stack, "a", "b"), Bench(stack)
    now = clock.now()
    vitals, outcome = bench.frame(clinic, one(70, now), one(71, now + 1, "b"))
    # In the first pass this partition had but a later reading of the first message, for which another one's record accounts.
    made = [replace_struct(found, owner=False) for found in decode_vitals(vitals.value or b"").observations[:1]]
    headers = frames.vitals_headers([Origin(bench.raw, 0, 1, 0)])
    first = replace(vitals, value=frames.encode(VitalsFrame(made)), headers=headers)
    again = [replace(vitals, offset=vitals.offset + 1), *bench.place(outcome)]
    async with bench.writer() as writer:
        for batch in [[first, outcome, *again]] if together else [[first, outcome], again]:
            await writer.write(batch)
    assert balance(clinic) == 0


def named_otherwise(bench: Bench, clinic: Clinic, *messages: Message) -> list[Record]:
    """Make and place what a second pass over the first raw record gives when the messages' devices changed hands in between."""
    raw = Coordinates(RAW.name, bench.raw, 0)
    vitals, outcome = derive(clinic, raw, [replace(one, subject=clinic.subject("b")) for one in messages], partitions=1)
    return bench.place(*(replace(record, partition=bench.vitals + 500_000) for record in vitals.values()), outcome)


@pytest.mark.parametrize("batches", [[4], [2, 2], [1, 1, 1, 1], [1, 3]])
@pytest.mark.parametrize("backwards", [False, True])
async def test_a_message_whose_device_changed_hands_between_the_passes_is_counted_once(
    stack: Stack, batches: list[int], backwards: bool
) -> None:
    clinic, bench = new_clinic(stack, "a", "b"), Bench(stack)
    now = clock.now()
    messages = one(70, now), one(71, now + 1), one(72, now + 2)
    passes = [bench.frame(clinic, *messages), named_otherwise(bench, clinic, *messages)]
    # The two passes' vitals stand in different partitions: which of them the store meets first is anybody's guess.
    ledger = [passes[0].pop(), passes[1].pop()]
    records = [*passes[1], *passes[0], *ledger] if backwards else [passes[0][0], ledger[0], passes[1][0], ledger[1]]
    async with bench.writer() as writer:
        for size in batches:
            await writer.write(records[:size])
            records = records[size:]
    assert clinic.counts() == {"received": 3, "accepted": 3, "readings": 3, "stored": 3, "readings_stored": 3}


async def test_what_both_passes_refused_stays_refused_beside_a_message_whose_device_changed_hands(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a", "b"), Bench(stack)
    now = clock.now()
    vitals, outcome = bench.frame(clinic, one(70, now))
    row = decode_outcome(outcome.value or b"")
    half = type(row.devices[0])(clinic.name, "a", 2, 0, 1, 0, 1, 1)
    outcome = replace(outcome, value=frames.encode(type(row)(row.partition, row.offset, row.hour, [half])))
    [again, _] = named_otherwise(bench, clinic, one(70, now))
    async with bench.writer() as writer:
        await writer.write([vitals, outcome])
        await writer.write([again])
    assert clinic.counts() == {
        "received": 2, "accepted": 1, "quarantined_normalise": 1, "readings": 1, "stored": 1, "readings_stored": 1,
    }  # fmt: skip


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("lost", [False, True])
async def test_a_message_taken_in_the_first_pass_and_refused_in_the_second_counts_as_what_became_of_it(
    stack: Stack, together: bool, lost: bool
) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    vitals, outcome = bench.frame(clinic, one(70, clock.now()))
    # The worker was killed when Kafka had its ledger record, and the readings or not. Then the loan was taken back.
    [second] = bench.place(judged(outcome, "quarantined"))
    async with bench.writer() as writer:
        if together:
            await writer.write([outcome, second])
        else:
            await writer.write([outcome])
            await writer.write([second])
        if not lost:
            await writer.write([vitals])
    assert balance(clinic) == 0
    found = {"received": 1, "readings": 1} | (
        {"quarantined_normalise": 1} if lost else {"accepted": 1, "stored": 1, "readings_stored": 1}
    )
    assert clinic.counts() == found
