"""Whose a reading is, against a reference as naive as the sentence: its subject alone had the device at that time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contracts.observation import Observation
from contracts.registry import DeviceRecord, Loan
from sharing.lendings import Lendings, Loans
from tests.sharing_readings import ORG, reading

INSTANTS = st.integers(min_value=0, max_value=8)
LOANS = st.builds(Loan, subject=st.sampled_from("pq"), start=INSTANTS, end=st.none() | INSTANTS)
CHANGES = st.tuples(st.sampled_from("de"), st.none() | st.lists(LOANS, max_size=3))
READINGS = st.builds(
    lambda subject, device, at: reading("8867-4", 60.0, subject=subject, device=device, at=at),
    st.sampled_from("pq"),
    st.sampled_from("def"),
    INSTANTS,
)


def naive(held: dict[str, list[Loan]], measured: Observation) -> bool:
    loans = held.get(measured.device, [])
    return [loan.subject for loan in loans if loan.holds(measured.effective_at)] == [measured.subject]


def put(lendings: Lendings, held: dict[str, list[Loan]], device: str, loans: list[Loan] | None) -> None:
    if loans is None:
        held.pop(device, None)
        lendings.put(f"{ORG}/{device}", None)
    else:
        held[device] = loans
        lendings.put(f"{ORG}/{device}", DeviceRecord(org=ORG, device=device, model="agora-generic", loans=tuple(loans)))


@given(st.lists(CHANGES, max_size=6), st.lists(READINGS, max_size=8), CHANGES)
def test_a_reading_is_its_subjects_exactly_where_they_alone_had_the_device_and_a_change_of_that_is_noticed(
    changes: list[tuple[str, list[Loan] | None]], measured: list[Observation], last: tuple[str, list[Loan] | None]
) -> None:
    lendings, held = Lendings(), dict[str, list[Loan]]()
    for change in changes:
        put(lendings, held, *change)
    relied_on: dict[str, Loans] = {}
    theirs, others = lendings.sort(measured, relied_on)
    assert theirs == [entry for entry in measured if naive(held, entry)]
    assert others == [entry for entry in measured if not naive(held, entry)]
    assert lendings.hold(relied_on)
    put(lendings, held, *last)
    if lendings.hold(relied_on):
        assert all(naive(held, entry) for entry in theirs)
    else:
        assert last[0] in {entry.device for entry in theirs}, "only a device that was relied on is a reason to decide anew"
