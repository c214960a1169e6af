"""Which raw record is skipped on purpose: one without which something is missing."""

from bench.chaos.plants import SETTLED, first_that_counts
from contracts.frames import RawFrame, RawMessage

NOW = 10 * SETTLED


def frame(payload: bytes, *, correlation: bytes | None = b"c", received_at: int = 0) -> RawFrame:
    return RawFrame([RawMessage("t", payload, received_at, correlation)])


def test_a_record_whose_message_came_again_is_passed_over() -> None:
    found = {0: frame(b"a"), 1: frame(b"b"), 2: frame(b"b"), 3: frame(b"c")}
    assert first_that_counts(found, 1, NOW) == 3


def test_nor_does_one_without_a_receipt_count_or_one_that_may_still_be_sent_again() -> None:
    found = {0: frame(b"a", correlation=None), 1: frame(b"b", received_at=NOW)}
    assert first_that_counts(found, 0, NOW) is None


def test_what_the_workers_have_read_cannot_be_skipped() -> None:
    assert first_that_counts({0: frame(b"a"), 1: frame(b"b")}, 1, NOW) == 1
