"""What ended by Kafka and goes on by the tables."""

from typing import Any

import pytest

from contracts.registry import AppRecord, ClockCorrection, ConsentRecord, DeviceRecord, Loan, Period, Record
from registry.endings import Cut, Ending, Key, Returned, Revoked, Standing, Withdrawn, find, standing

KEY = ("a topic", "a key")
CONSENT = ConsentRecord(consent="c", subject="ada", app="rhythm", vitals=frozenset({"8867-4"}), granted_at=1)
APP = AppRecord(app="rhythm", org="lab", client_id="rhythm-1")
ADA = Loan(subject="ada", start=10)
DEVICE = DeviceRecord(org="clinic", device="ox-1", model="agora-oximeter", loans=(ADA,))


def value(record: Record, version: int = 7) -> dict[str, Any]:
    return record.model_dump(mode="json") | {"version": version}


def endings(table: Record, there: dict[str, Any], how: Standing = Standing.BEHIND) -> list[Ending]:
    held: dict[Key, dict[str, Any]] = {KEY: there, ("a topic", "not in the tables"): there}
    return list(find({KEY: table, ("a topic", "not in Kafka"): table}, held, dict.fromkeys(held, how)))


def lent(*loans: Loan, **more: Any) -> DeviceRecord:
    return DEVICE.model_copy(update={"loans": loans, **more})


@pytest.mark.parametrize("how", Standing)
def test_a_withdrawal_that_the_table_lacks_is_taken_over_whatever_the_outbox_says(how: Standing) -> None:
    there = value(CONSENT.model_copy(update={"withdrawn_at": 9, "revision": 2}))
    assert endings(CONSENT, there, how) == [Withdrawn("c", 2, 9)]


def test_a_later_revision_whose_text_is_lost_counts_as_an_end() -> None:
    assert endings(CONSENT, value(CONSENT.model_copy(update={"revision": 3}))) == [Withdrawn("c", 3, None)]


def test_a_consent_that_goes_on_or_ended_in_both_is_left_alone() -> None:
    withdrawn = CONSENT.model_copy(update={"withdrawn_at": 9, "revision": 2})
    assert endings(CONSENT, value(CONSENT)) == []
    assert endings(withdrawn, value(CONSENT)) == []
    assert endings(withdrawn, value(withdrawn)) == []


@pytest.mark.parametrize("how", Standing)
def test_an_app_that_was_revoked_stays_so(how: Standing) -> None:
    revoked = APP.model_copy(update={"active": False})
    assert endings(APP, value(revoked), how) == [Revoked("rhythm")]
    assert endings(revoked, value(APP), how) == []
    assert endings(revoked, value(revoked), how) == []


def test_a_retired_device_stays_so_unless_the_database_went_on_from_there() -> None:
    retired = value(lent(ADA, retired=True))
    for how in (Standing.BEHIND, Standing.LEVEL):
        assert endings(DEVICE, retired, how) == [Returned(DEVICE, True, ())]
    assert endings(DEVICE, retired, Standing.AHEAD) == []


@pytest.mark.parametrize(
    ("there", "left"),
    [
        ([Loan(subject="ada", start=10, end=20)], [Period(start=10, end=20)]),
        ([Loan(subject="ada", start=12)], [Period(start=12)]),
        ([Loan(subject="ada", start=5, end=15), Loan(subject="ada", start=30)], [Period(start=10, end=15), Period(start=30)]),
        ([Loan(subject="ada", start=5, end=10)], []),
        ([Loan(subject="ben", start=10)], []),
        ([], []),
    ],
)
def test_of_a_loan_that_was_ended_corrected_or_taken_back_only_what_kafka_has_is_left(
    there: list[Loan], left: list[Period]
) -> None:
    assert endings(DEVICE, value(lent(*there))) == [Returned(DEVICE, False, (Cut(ADA, tuple(left)),))]
    assert endings(DEVICE, value(lent(*there)), Standing.AHEAD) == []


def test_a_loan_is_not_prolonged_and_one_entered_by_hand_is_left_where_the_database_is_level() -> None:
    ended = lent(Loan(subject="ada", start=10, end=20))
    assert endings(ended, value(DEVICE)) == []
    by_hand = lent(Loan(subject="ada", start=10, end=20), Loan(subject="ben", start=20))
    assert endings(by_hand, value(DEVICE), Standing.LEVEL) == []
    assert endings(by_hand, value(DEVICE)) == [Returned(by_hand, False, (Cut(by_hand.loans[1], ()),))]


def test_an_end_wins_over_a_table_that_was_changed_by_hand() -> None:
    there = value(lent(Loan(subject="ada", start=10, end=20)))
    assert endings(DEVICE, there, Standing.LEVEL) == [Returned(DEVICE, False, (Cut(ADA, (Period(start=10, end=20),)),))]


def test_a_corrected_clock_is_no_end_and_what_cannot_be_read_says_nothing() -> None:
    assert endings(DEVICE, value(lent(ADA, corrections=(ClockCorrection(start=0, offset=5),)))) == []
    for table in (DEVICE, APP, CONSENT):
        assert endings(table, {"version": 7, "active": "?"}) == []
        assert endings(table, {}) == []


@pytest.mark.parametrize(
    ("newest", "in_outbox", "expected"),
    [
        (None, False, Standing.BEHIND),
        ((6, {"version": 6}), True, Standing.BEHIND),
        ((7, {"version": 7}), True, Standing.LEVEL),
        ((7, {"version": 7, "other": 1}), True, Standing.BEHIND),
        ((7, None), True, Standing.BEHIND),
        ((8, {"version": 8}), True, Standing.AHEAD),
        ((8, {"version": 8}), False, Standing.BEHIND),
    ],
)
def test_the_database_is_level_ahead_or_behind(newest: Any, in_outbox: bool, expected: Standing) -> None:
    assert standing({"version": 7}, newest, in_outbox=in_outbox) is expected


def test_a_record_without_a_version_is_unknown() -> None:
    assert standing({}, (1, {}), in_outbox=True) is Standing.BEHIND
