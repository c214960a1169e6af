"""Under which ids readings leave is a function of the messages, however workers put these into records of vitals."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.frames import Origin, encode, vitals_headers
from contracts.observation import Observation, VitalsFrame
from sharing.fhir.observation import group, identity
from sharing.vitals_record import messages_by_subject
from tests.sharing_readings import reading

CODES = ("8480-6", "8462-4", "8867-4")
RawRecord = list[list[Observation]]
"""Its messages, each with its readings."""


@st.composite
def raw_records(draw: st.DrawFn) -> list[RawRecord]:
    """Cuffs that send systolic and diastolic together or apart, of one time or of several."""
    records = []
    for _ in range(draw(st.integers(1, 4))):
        messages = []
        for number in range(draw(st.integers(1, 3))):
            codes = draw(st.lists(st.sampled_from(CODES), min_size=1, max_size=3, unique=True))
            at, subject = draw(st.integers(0, 1)), draw(st.sampled_from(("p", "q")))
            messages.append([reading(code, 1.0, at=at, subject=subject, message=number) for code in codes])
        records.append(messages)
    return records


def ids(records: list[list[tuple[int, RawRecord]]]) -> set[tuple[str, bytes]]:
    found = set()
    for held in records:
        observations = [one for _, raw in held for message in raw for one in message]
        origins = [Origin(0, offset, sum(map(len, raw)), len(raw)) for offset, raw in held]
        by_subject = messages_by_subject(encode(VitalsFrame(observations)), vitals_headers(origins))
        for subject, messages in by_subject.items():
            found |= {(subject, identity(shown)) for message in messages for shown in group(message)}
    return found


@given(raw_records(), st.data())
def test_however_raw_records_are_gathered_the_ids_are_the_same(raw: list[RawRecord], data: st.DataObject) -> None:
    numbered = iter(enumerate(raw))
    gathered = []
    while held := list(islice(numbered, data.draw(st.integers(1, 4)))):
        gathered.append(held)
    assert ids(gathered) == ids([[one] for one in enumerate(raw)])


@given(raw_records())
def test_every_reading_is_there_once_under_its_subject(raw: list[RawRecord]) -> None:
    observations = [one for record in raw for message in record for one in message]
    origins = [Origin(0, offset, sum(map(len, record)), len(record)) for offset, record in enumerate(raw)]
    found = messages_by_subject(encode(VitalsFrame(observations)), vitals_headers(origins))
    assert all(one.subject == subject for subject, messages in found.items() for message in messages for one in message)
    assert sum(len(message) for messages in found.values() for message in messages) == len(observations)


def test_components_that_were_sent_apart_are_shown_apart() -> None:
    upper, lower = reading("8480-6", 120.0), reading("8462-4", 80.0)
    found = messages_by_subject(encode(VitalsFrame([upper, lower])), vitals_headers([Origin(0, 1, 1, 1), Origin(0, 2, 1, 1)]))
    assert [[one.vital for one in message] for message in found[upper.subject]] == [["8480-6"], ["8462-4"]]


@pytest.mark.parametrize("counted", [0, 1, 3])
def test_headers_that_tell_of_other_readings_are_refused(counted: int) -> None:
    frame = encode(VitalsFrame([reading("8480-6", 120.0), reading("8462-4", 80.0)]))
    with pytest.raises(ValueError, match="other observations"):
        messages_by_subject(frame, vitals_headers([Origin(0, 1, counted, 1)]))


@pytest.mark.parametrize(("value", "headers"), [(b"\xc1", None), (encode(VitalsFrame([])), None), (b"", [])])
def test_what_is_no_vitals_record_is_refused(value: bytes, headers: list[tuple[str, bytes]] | None) -> None:
    with pytest.raises(ValueError, match=r"record"):
        messages_by_subject(value, headers)
