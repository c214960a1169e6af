"""Workers can be killed again and again while devices change hands; each pass over a raw record may then give it otherwise.

A pass is written as what it made of each message: the partitions of its readings' subjects (the first accounts for it), or ``d``
for a duplicate, ``q`` for quarantine; then the records of it that reached Kafka, ``l`` for that of the ledger. The store meets
the records of a partition in the order of the passes, otherwise in any, in any batches.
"""

import pytest

from contracts import frames, ids
from contracts.frames import Origin
from contracts.instants import hour_of
from contracts.observation import Observation, Quality, VitalsFrame
from contracts.outcomes import DeviceOutcome, RawOutcome
from contracts.topics import LEDGER, VITALS
from deploy.local.stack import Stack
from runtime import clock
from tests.support.storing import HEART_RATE, Bench, Clinic, Record, new_clinic

DEVICES = "abcd"


def passed(bench: Bench, clinic: Clinic, plan: str, now: int) -> dict[str, Record]:
    """Make what a pass makes of the first raw record, by the names of the records."""
    found: dict[str, list[Observation]] = {}
    owned: dict[str, int] = {}
    rows = []
    for number, fate in enumerate(plan.split()):
        device, taken = DEVICES[number], fate.isdigit()
        rows.append(DeviceOutcome(clinic.name, device, 1, 0, int(taken), int(fate == "d"), int(fate == "q"), taken * len(fate)))
        for place, partition in enumerate(fate if taken else ""):
            owner = partition == fate[0]
            owned[partition] = owned.get(partition, 0) + (owner and place == 0)
            identity = ids.observation_id(clinic.name, device, HEART_RATE, "", now, place)
            subject = clinic.subject(DEVICES[int(partition)])
            found.setdefault(partition, []).append(
                Observation(
                    identity, clinic.name, device, subject, HEART_RATE, "", 70.0, "/min", now, now, now, place,
                    int(Quality.SEQUENCED), number, owner,
                )
            )  # fmt: skip
    made = {
        partition: Record(
            VITALS.name,
            bench.vitals + (1 + int(partition)) * 1_000_000,
            0,
            frames.encode(VitalsFrame(readings)),
            frames.vitals_headers([Origin(bench.raw, 0, len(readings), owned[partition])]),
        )
        for partition, readings in found.items()
    }
    return made | {"l": Record(LEDGER.name, bench.raw, 0, frames.encode(RawOutcome(bench.raw, 0, hour_of(now), rows)))}


HISTORIES = {
    "two of a batch give a message to different partitions": (
        [("1 0 d 1", "1 0 l"), ("1 0 0 1", "1 0"), ("1 0 1 1", "1 0 l")],
        "1 1 l | l 1 0 0 0",
    ),
    "a partition gets more with each of two later passes": (
        [("0 1 22", "1 2 l"), ("0 1 11", "1 l"), ("1 0 11", "1 0 l")],
        "1 l 1 1 | 0 l | l 2",
    ),
    "a message of two people came in part, and is given to one": (
        [("0 01", "0"), ("d 11", "1 l")],
        "0 1 l",
    ),
    "another in part, with the ledger's records behind": (
        [("12 d 2 d", "l"), ("12 d 2 1", "1"), ("22 11 2 q", "2 1 l")],
        "1 1 2 | l | l",
    ),
}


@pytest.mark.parametrize(("passes", "batches"), HISTORIES.values(), ids=HISTORIES.keys())
async def test_whatever_the_passes_made_of_a_raw_record_each_message_is_counted_once(
    stack: Stack, passes: list[tuple[str, str]], batches: str
) -> None:
    clinic, bench, now = new_clinic(stack, *DEVICES), Bench(stack), clock.now()
    waiting: dict[str, list[Record]] = {}
    for plan, kept in passes:
        records = passed(bench, clinic, plan, now)
        for name in kept.split():
            waiting.setdefault(name, []).extend(bench.place(records[name]))
    async with bench.writer() as writer:
        for batch in batches.split("|"):
            await writer.write([waiting[name].pop(0) for name in batch.split()])
    assert not any(waiting.values())
    found = clinic.counts()
    outcomes = ("stored", "duplicate_normalise", "duplicate_store", "quarantined_normalise", "quarantined_store")
    assert found["received"] == sum(found.get(name, 0) for name in outcomes)
    assert found["accepted"] == sum(found.get(name, 0) for name in ("stored", "duplicate_store", "quarantined_store"))
