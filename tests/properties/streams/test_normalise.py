from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Code
from contracts.frames import Coordinates, RawMessage, encode
from contracts.ids import observation_id
from contracts.instants import DAY, to_text
from contracts.observation import VitalsFrame, decode_vitals
from contracts.outcomes import decode_outcome
from contracts.registry import ClockCorrection, DeviceRecord, Loan
from contracts.topics import RAW, VITALS
from storage.batch import decode
from storage.pieces import Source
from streams.directory import Directory
from streams.gathering import outputs_of
from streams.memory import Recent, Warnings
from streams.normalise import Result, normalise
from tests.support.storing import Record

NOW = 1_795_341_600_000_000
REGISTRY = {
    "org/a": DeviceRecord(org="org", device="a", model="agora-generic", loans=(Loan(start=0, subject="anna"),)),
    "org/b": DeviceRecord(
        org="org",
        device="b",
        model="agora-generic",
        loans=(Loan(start=0, end=NOW, subject="anna"), Loan(start=NOW - DAY, subject="bert")),
        corrections=(ClockCorrection(start=0, end=NOW - DAY, offset=DAY),),
    ),
    "org/c": DeviceRecord(org="org", device="c", model="agora-generic", retired=True),
}
TOPICS = [f"agora/v1/org/{name}/up/{stream}" for name in "abcd" for stream in ("vitals", "ecg")] + ["", "agora/v1/org/a", "/"]
readings = st.fixed_dictionaries(
    {
        "code": st.sampled_from(["8867-4", "8310-5", "85354-9", "nonsense"]),
        "value": st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([60, 70, 1e308])),
        "unit": st.sampled_from(["/min", "/s", "Cel", "[degF]", "bpm", "no unit", ""]),
    },
    optional={
        "time": st.integers(NOW - 500 * DAY, NOW + 3 * DAY).map(to_text),
        "sequence": st.integers(0, 3),
        "site": st.sampled_from(["arm", "leg"]),
    },
)
payloads = st.one_of(
    st.binary(max_size=60),
    st.fixed_dictionaries({"time": st.just(to_text(NOW)), "readings": st.lists(readings, max_size=3)}).map(
        lambda body: json.dumps(body).encode()
    ),
)
messages = st.builds(
    RawMessage,
    topic=st.one_of(st.sampled_from(TOPICS), st.text(max_size=20)),
    payload=payloads,
    received_at=st.one_of(st.just(NOW), st.integers(0, 2**63 - 1)),
    correlation=st.one_of(st.none(), st.binary(max_size=64)),
    message_id=st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=8)),
    replay_of=st.sampled_from([None, "agora.raw.v1/0/0/0"]),
)


def check(result: Result, sent: list[RawMessage]) -> None:
    rows = result.outcome.devices
    assert sum(row.received + row.replayed for row in rows) == len(sent)
    for row in rows:
        assert row.received + row.replayed == row.accepted + row.duplicate + row.quarantined
    assert len(result.quarantined) == sum(row.quarantined for row in rows)
    found = [(partition, one) for partition, frame in result.vitals.items() for one in frame]
    assert sum(row.readings for row in rows) == len(found)
    owners = {(partition, one.message) for partition, one in found if one.owner}
    assert len({message for _, message in owners}) == len(owners) == sum(row.accepted for row in rows)
    assert sum(result.owned.values()) == len(owners)
    assert {one.message for _, one in found}.isdisjoint(kept.index for kept in result.quarantined)
    for _, one in found:
        assert one.id == observation_id(one.org, one.device, one.vital, one.site, one.device_time, one.sequence)
    assert not result.failures
    assert all(kept.code != Code.INTERNAL for kept in result.quarantined)


@given(st.lists(messages, max_size=6))
def test_any_messages_are_accounted_for_and_none_raises(sent: list[RawMessage]) -> None:
    directory, recent, warnings = Directory(REGISTRY.get), Recent(4), Warnings()
    for offset in (5, 6, 5):
        result = normalise(sent, Coordinates("agora.raw.v1", 0, offset), directory, recent, warnings, NOW, "1")
        check(result, sent)
        for output in outputs_of([result]):
            assert 0 <= output.partition < 8
        assert decode_outcome(encode(result.outcome)) == result.outcome
        for frame in result.vitals.values():
            assert decode_vitals(encode(VitalsFrame(frame))).observations == frame


@given(st.lists(st.lists(messages, max_size=4), min_size=1, max_size=4))
def test_what_is_written_together_is_taken_apart_again_by_raw_record(sent: list[list[RawMessage]]) -> None:
    directory, recent = Directory(REGISTRY.get), Recent(4)
    results = [
        normalise(some, Coordinates(RAW.name, number % 2, number), directory, recent, Warnings(), NOW, "1")
        for number, some in enumerate(sent)
    ]
    vitals = [one for one in outputs_of(results) if one.topic == VITALS.name]
    assert len({one.partition for one in vitals}) == len(vitals)
    batch = decode([Record(one.topic, one.partition, 7, one.value, one.headers) for one in vitals], NOW)
    found = {
        one.source: [batch.observations[one.start : one.end], [part.owner for part in one.parts].count(True)]
        for one in batch.vitals
    }
    assert found == {
        Source(result.outcome.partition, result.outcome.offset, partition): [own, result.owned.get(partition, 0)]
        for result in results
        for partition, own in result.vitals.items()
    }


@given(st.lists(messages, max_size=6))
def test_a_second_pass_over_the_same_record_gives_the_same(sent: list[RawMessage]) -> None:
    directory = Directory(REGISTRY.get)
    recent = Recent(1000)
    source = Coordinates("agora.raw.v1", 0, 5)
    first = normalise(sent, source, directory, recent, Warnings(), NOW, "1")
    for memory in (recent, Recent(1000)):
        again = normalise(sent, source, directory, memory, Warnings(), NOW, "1")
        assert (again.vitals, again.outcome, again.quarantined) == (first.vitals, first.outcome, first.quarantined)
