from bench.audit import Audit, Letter, compare
from simulators.counts import Sent

SENT = {"clinic/ox": {"a": Sent(1, 2, False), "b": Sent(2, 2, False), "c": Sent(None, 0, True)}}
ALL = {"clinic/ox": ["a", "b", "c"]}


def test_everything_stored_once_or_in_quarantine_is_well() -> None:
    stored = {("clinic/ox", 1): 2, ("clinic/ox", 2): 2}
    assert compare(SENT, ALL, stored, frozenset({"c"})) == Audit(3, 0, 0)


def test_a_message_that_is_nowhere_is_lost_and_so_is_half_of_one() -> None:
    assert compare(SENT, ALL, {("clinic/ox", 2): 1}, frozenset({"c"})) == Audit(3, 2, 0)


def test_a_reading_stored_twice_is_seen() -> None:
    stored = {("clinic/ox", 1): 4, ("clinic/ox", 2): 2}
    assert compare(SENT, ALL, stored, frozenset({"c"})) == Audit(3, 0, 1)


def test_garbage_that_is_not_in_quarantine_is_lost() -> None:
    stored = {("clinic/ox", 1): 2, ("clinic/ox", 2): 2}
    assert compare(SENT, ALL, stored, frozenset()) == Audit(3, 1, 0)


def test_what_got_no_receipt_was_never_promised() -> None:
    assert compare(SENT, {"clinic/ox": []}, {}, frozenset()) == Audit(0, 0, 0)


def test_a_refused_message_is_found_in_quarantine_by_its_number() -> None:
    found: frozenset[Letter | str] = frozenset({("clinic/ox", 1), ("clinic/ox", 2), "c"})
    assert compare(SENT, ALL, {}, found) == Audit(3, 0, 0)
