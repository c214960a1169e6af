"""A worker that was killed goes over the last raw records again, and remembers less than before: it may judge them otherwise."""

from dataclasses import replace

import pytest

from contracts import frames
from contracts.outcomes import decode_outcome
from deploy.local.stack import Stack
from runtime import clock
from tests.support.storing import Bench, Clinic, Record, new_clinic, one


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
    first_vitals = bench.frame(clinic, one(70, now))[0]
    first_vitals = replace(first_vitals, offset=vitals.offset, headers=vitals.headers)
    async with bench.writer() as writer:
        await writer.write([first_vitals, first_pass])
        await writer.write([replace(vitals, offset=vitals.offset + 1), *bench.place(outcome)])
    assert balance(clinic) == 0
