"""Any sequence of batches leaves the table that a naive writer, one reading after the other, would leave; the counts close."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.instants import SECOND
from deploy.local.stack import Stack
from tests.support.storing import HEART_RATE, SPO2, Bench, Clinic, Message, Reading, Record, in_turn, new_clinic

BASE = 1_760_000_000 * SECOND
DAY = 86_400 * SECOND

reading = st.builds(
    Reading,
    value=st.sampled_from([60.0, 61.0, 0.0, -0.0, float("inf")]),
    device_time=st.sampled_from([BASE, BASE + 1, BASE - 40 * DAY]),
    sequence=st.sampled_from([0, 1]),
    vital=st.sampled_from([HEART_RATE, SPO2]),
    site=st.sampled_from(["", "finger"]),
)
message = st.builds(Message, device=st.sampled_from(["a", "b"]), readings=st.lists(reading, min_size=1, max_size=3))
raw_record = st.lists(message, min_size=1, max_size=3)
batch = st.lists(raw_record, min_size=1, max_size=4)


class Naive:
    """Takes one reading after the other."""

    def __init__(self) -> None:
        self.table: dict[tuple[str, str, str, int, int], float] = {}
        self.counts = {"stored": 0, "duplicate_store": 0, "quarantined_store": 0}
        self.readings = {"readings_stored": 0, "readings_duplicate": 0, "readings_quarantined": 0}

    def take(self, message: Message) -> None:
        outcomes = []
        for one in message.readings:
            identity = message.device, one.vital, one.site, one.device_time, one.sequence
            if identity not in self.table:
                self.table[identity] = one.value
                outcomes.append("stored")
            else:
                outcomes.append("duplicate" if self.table[identity] == one.value else "quarantined")
            self.readings[f"readings_{outcomes[-1]}"] += 1
        if "stored" in outcomes:
            self.counts["stored"] += 1
        elif "quarantined" in outcomes:
            self.counts["quarantined_store"] += 1
        else:
            self.counts["duplicate_store"] += 1

    def rows(self) -> list[tuple[str, str, str, int, float]]:
        return sorted((device, vital, site, sequence, value) for (device, vital, site, _, sequence), value in self.table.items())


async def write(bench: Bench, batches: list[list[Record]]) -> None:
    async with bench.writer() as writer:
        for records in batches:
            await writer.write(records)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(batch, min_size=1, max_size=4), repeated=st.booleans())
def test_any_sequence_of_batches_equals_one_reading_after_the_other(
    stack: Stack, batches: list[list[list[Message]]], repeated: bool
) -> None:
    clinic, bench, naive = new_clinic(stack, "a", "b"), Bench(stack), Naive()
    written = [in_turn(*(bench.frame(clinic, *messages) for messages in records)) for records in batches]
    if repeated:  # a second pass of the normaliser over everything changes nothing
        written += [bench.place(*records) for records in written]
    asyncio.run(write(bench, written))
    for one in (one for records in batches for messages in records for one in messages):
        naive.take(one)
    assert_equal(clinic, naive, sum(len(messages) for records in batches for messages in records))


def assert_equal(clinic: Clinic, naive: Naive, messages: int) -> None:
    assert sorted(clinic.rows()) == naive.rows()
    counts = clinic.counts()
    assert {name: counts.get(name, 0) for name in naive.counts} == naive.counts
    assert {name: counts.get(name, 0) for name in naive.readings} == naive.readings
    quarantine = clinic.quarantine()
    assert len(quarantine) == naive.readings["readings_quarantined"]
    assert sum(row[2] for row in quarantine) == naive.counts["quarantined_store"]
    assert counts["received"] == counts["accepted"] == messages == sum(naive.counts.values())
