"""Laws of what is left of loans in a restored database."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.loans import borrower, lent
from contracts.registry import DeviceRecord, Loan
from registry.endings import Returned, Standing, find

KEY = ("a topic", "a key")
INSTANTS = range(-1, 42)


@st.composite
def devices(draw: st.DrawFn) -> DeviceRecord:
    """Draw a device whose loans do not overlap; the last one may go on."""
    edges = sorted(draw(st.sets(st.integers(0, 40), max_size=8)))
    spans = list(zip(edges[::2], edges[1::2], strict=False))
    loans = [Loan(subject=draw(st.sampled_from("ab")), start=start, end=end) for start, end in spans]
    if len(edges) % 2:
        loans.append(Loan(subject=draw(st.sampled_from("ab")), start=edges[-1]))
    return DeviceRecord(org="o", device="d", model="m", retired=draw(st.booleans()), loans=tuple(loans))


def who(device: DeviceRecord, instant: int) -> str | None:
    found = borrower(lent(device), instant)
    return None if found is None else found.subject


@given(table=devices(), there=devices())
def test_after_a_restore_somebody_has_a_device_exactly_where_the_backup_and_kafka_agree(
    table: DeviceRecord, there: DeviceRecord
) -> None:
    found = list(find({KEY: table}, {KEY: there.model_dump(mode="json") | {"version": 1}}, {KEY: Standing.BEHIND}))
    left = list(table.loans)
    for ending in found:
        assert isinstance(ending, Returned)
        for loan, periods in ending.cuts:
            left.remove(loan)
            left += [Loan(subject=loan.subject, start=period.start, end=period.end) for period in periods]
    after = table.model_copy(update={"loans": tuple(left)})
    for instant in INSTANTS:
        agreed = who(table, instant) if who(table, instant) == who(there, instant) else None
        assert who(after, instant) == agreed
    retired = any(isinstance(ending, Returned) and ending.retired for ending in found)
    assert retired == (there.retired and not table.retired)
