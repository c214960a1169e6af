import json

from hypothesis import given
from hypothesis import strategies as st

from contracts.registry import Loan, Period
from registry.holes import Known, gaps
from registry.records import overlapping
from registry.resync import Newest, plan

T = "agora.registry.devices.v1"
KEYS = st.sampled_from(["a", "b", "c", "d"])


def stretches(offsets: set[int]) -> list[Known]:
    found: list[Known] = []
    for offset in sorted(offsets):
        if found and found[-1].last == offset - 1:
            found[-1] = Known(found[-1].first, offset)
        else:
            found.append(Known(offset, offset))
    return found


@given(st.sets(st.integers(0, 60)), st.integers(0, 60), st.integers(1, 100))
def test_holes_are_exactly_what_is_missing_between_mark_and_newest(known: set[int], start: int, limit: int) -> None:
    above = {offset for offset in known if offset >= start}
    missing = [offset for offset in range(start, max(above, default=start)) if offset not in above]
    found = gaps(start, stretches(above), limit)
    assert list(found.offsets) == missing[:limit]
    assert all(offset in above for offset in range(start, found.next))
    assert found.next not in above


@given(
    st.dictionaries(KEYS, st.tuples(st.integers(1, 40), st.booleans(), st.booleans())),
    st.dictionaries(KEYS, st.tuples(st.integers(1, 60), st.integers(0, 2))),
)
def test_after_a_resync_kafka_holds_what_the_outbox_says_and_no_version_goes_back(
    rows: dict[str, tuple[int, bool, bool]], there: dict[str, tuple[int, int]]
) -> None:
    newest = {
        (T, key): Newest(version, None if gone else {"version": version, "x": 0}, published)
        for key, (version, gone, published) in rows.items()
    }
    found = {(T, key): json.dumps({"version": version, "x": x}).encode() for key, (version, x) in there.items()}
    last = max((row.version for row in newest.values()), default=0)
    todo = plan(newest, found, last)
    held = {key: json.loads(value) for key, value in found.items()}
    for line in todo.lines:
        before = held.pop((line.topic, line.key), None)
        if line.value is not None:
            held[line.topic, line.key] = json.loads(line.value)
            assert before is None or before["version"] < held[line.topic, line.key]["version"]
    next_version = max(last, todo.beyond)
    pending = [(key, newest[key].value) for key in todo.renew] + [
        (key, row.value) for key, row in newest.items() if not row.published and key not in todo.renew
    ]
    for key, value in pending:
        next_version += 1
        held.pop(key, None)
        if value is not None:
            held[key] = value | {"version": next_version}
    assert {key: value["x"] for key, value in held.items()} == {
        key: row.value["x"] for key, row in newest.items() if row.value is not None
    }


@given(st.integers(0, 20), st.none() | st.integers(1, 10), st.integers(0, 20), st.none() | st.integers(1, 10))
def test_two_periods_overlap_iff_an_instant_lies_in_both(a: int, a_length: int | None, b: int, b_length: int | None) -> None:
    first = Period(start=a, end=None if a_length is None else a + a_length)
    second = Loan(subject="s", start=b, end=None if b_length is None else b + b_length)
    shared = any(first.holds(instant) and second.holds(instant) for instant in range(60))
    assert (overlapping(first, [second]) is not None) is shared
