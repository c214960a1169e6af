"""Whatever becomes of readings, the counts of messages and readings add up, per record and per device."""

from hypothesis import given
from hypothesis import strategies as st

from storage import tally
from storage.ledger_report import Gap, without
from storage.pieces import Part, Source, VitalsRecord

outcome = st.sampled_from([tally.STORED, tally.DUPLICATE, tally.QUARANTINED])
message = st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans(), st.lists(outcome, min_size=1, max_size=4))


@given(st.lists(message, max_size=12))
def test_every_owned_message_and_every_reading_has_exactly_one_outcome(messages: list[tuple[str, bool, list[int]]]) -> None:
    outcomes = bytearray()
    parts = []
    for device, owner, found in messages:
        parts.append(Part("org", device, 0, owner, len(outcomes), len(outcomes) + len(found)))
        outcomes += bytes(found)
    record = VitalsRecord(Source(0, 0, 0), 0, parts, 0, len(outcomes), 0)
    counts = tally.count(record, outcomes)
    assert sum(counts[:3]) == sum(owner for _, owner, _ in messages)
    assert sum(counts[3:]) == len(outcomes)
    deltas: tally.Deltas = {}
    tally.add_record(deltas, record, outcomes)
    sums = [sum(column) for column in zip(*deltas.values(), strict=True)] or [0] * 12
    assert tuple(sums[6:]) == counts


@given(st.lists(message, max_size=12))
def test_the_short_way_for_all_stored_gives_the_same_counts(messages: list[tuple[str, bool, list[int]]]) -> None:
    parts, end = [], 0
    for device, owner, found in messages:
        parts.append(Part("org", device, 0, owner, end, end + len(found)))
        end += len(found)
    record = VitalsRecord(Source(0, 0, 0), 0, parts, 0, end, 0)
    assert tally.count(record, None) == tally.count(record, bytearray(end))
    short: tally.Deltas = {}
    long: tally.Deltas = {}
    tally.add_record(short, record, None)
    tally.add_record(long, record, bytearray(end))
    assert short == long


@given(st.integers(0, 50), st.integers(0, 30), st.sets(st.integers(0, 90)))
def test_numbers_found_in_quarantine_are_taken_out_of_a_gap(first: int, length: int, found: set[int]) -> None:
    gap = Gap("org", "device", first, first + length)
    left = [number for part in without(gap, found) for number in range(part.first, part.last + 1)]
    assert left == [number for number in range(first, first + length + 1) if number not in found]
