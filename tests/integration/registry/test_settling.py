"""What a changed loan leaves to settle, and how its readings are found among everybody's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from contracts.instants import DAY, HOUR, MINUTE, from_datetime, to_datetime
from deploy.local.stack import Stack
from registry import clocks, devices, loans, settlement
from registry.outbox import Database
from runtime import clock
from tests.support.keeping import ORG, database, populate

T0 = from_datetime(datetime(2026, 10, 1, tzinfo=UTC))


def put(stack: Stack, device: str, subject: str, readings: int, every: int = MINUTE, start: int = T0) -> None:
    """Write readings of a device from an instant on, as the store does with what a worker named after this subject."""
    with database(stack, "store") as connection:
        connection.execute(
            "INSERT INTO vitals (code, display, unit) VALUES ('8867-4', 'Heart rate', '/min') ON CONFLICT DO NOTHING"
        )
        connection.execute(
            "INSERT INTO observations (device_time, effective_at, received_at, sequence, value, device_key, subject_key, quality,"
            "  vital_key, site_key, profile)"
            " SELECT t, t, t, 0, 70, d.device_key, s.subject_key, 0, v.vital_key, i.site_key, 1"
            " FROM generate_series(0, %s - 1) n CROSS JOIN LATERAL (SELECT %s + n::bigint * %s * interval '1 microsecond') x(t)"
            " JOIN devices d ON d.name = %s JOIN subjects s ON s.name = %s"
            " JOIN vitals v ON v.code = '8867-4' JOIN sites i ON i.name = ''",
            (readings, to_datetime(start), every, device, subject),
        )


def asked_for(connection: Database, device: str) -> int:
    """Count the settlements that the keeper is to make for a device."""
    row = connection.execute(
        "SELECT count(*) FROM settlements JOIN devices d USING (device_key) WHERE d.name = %s", (device,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_devices_first_loan_leaves_nothing_to_settle_and_each_later_change_does(operator: Database) -> None:
    devices.enrol(operator, ORG, "first-1", "agora-oximeter")
    clocks.correct(operator, ORG, "first-1", T0, T0 + HOUR, HOUR)
    assert loans.lend(operator, ORG, "first-1", "anna", T0).readings.moved == 0
    assert asked_for(operator, "first-1") == 0
    loans.give_back(operator, ORG, "first-1", T0 + DAY)
    loans.lend(operator, ORG, "first-1", "ben", T0 + DAY)
    clocks.correct(operator, ORG, "first-1", T0 + HOUR, T0 + 2 * HOUR, HOUR)
    assert asked_for(operator, "first-1") == 3


def test_a_reading_named_by_a_loan_that_was_taken_back_is_found_when_the_device_is_lent_again(
    stack: Stack, operator: Database
) -> None:
    populate(operator, "fay")
    devices.enrol(operator, ORG, "back-1", "agora-oximeter")
    loans.lend(operator, ORG, "back-1", "anna", T0)
    [loan] = loans.list_loans(operator, ORG, "back-1")
    loans.correct(operator, loan.loan_id, "ben", T0, None)
    loans.remove(operator, loan.loan_id)
    put(stack, "back-1", "anna", 2)  # it was on its way
    assert loans.lend(operator, ORG, "back-1", "fay", T0).readings.moved == 2


def test_what_was_set_aside_before_borrowers_were_remembered_comes_back_when_the_device_is_lent_again(
    stack: Stack, operator: Database
) -> None:
    devices.enrol(operator, ORG, "back-2", "agora-oximeter")
    loans.lend(operator, ORG, "back-2", "anna", T0)
    put(stack, "back-2", "anna", 2)
    [loan] = loans.list_loans(operator, ORG, "back-2")
    assert loans.remove(operator, loan.loan_id).readings.set_aside == 2
    with database(stack, "owner") as owner:  # as the migration leaves it, which found neither loan nor reading of the device
        owner.execute("DELETE FROM device_borrowers b USING devices d WHERE d.device_key = b.device_key AND d.name = 'back-2'")
    assert loans.lend(operator, ORG, "back-2", "anna", T0).readings.moved == 2


def test_a_device_retired_on_loan_keeps_what_it_measured_and_what_it_dates_later_is_set_aside_and_looked_for_again(
    stack: Stack, operator: Database
) -> None:
    now = clock.now()
    devices.enrol(operator, ORG, "gone-1", "agora-oximeter")
    loans.lend(operator, ORG, "gone-1", "anna", T0, now + DAY)
    loans.lend(operator, ORG, "gone-1", "ben", now + DAY)
    before = asked_for(operator, "gone-1")
    put(stack, "gone-1", "anna", 3)
    put(stack, "gone-1", "anna", 1, start=now + HOUR)  # its clock was ahead
    put(stack, "gone-1", "ben", 1, start=now + DAY + HOUR)
    change = loans.retire(operator, ORG, "gone-1")
    assert (change.readings.moved, change.readings.set_aside) == (0, 2)
    [loan] = loans.list_loans(operator, ORG, "gone-1")
    retired = devices.read_record(operator, ORG, "gone-1")
    assert (loan.subject, loan.end) == ("anna", retired.retired_at)
    # What a worker still makes by the loans of before is found, too, once the keeper is back.
    row = operator.execute(
        "SELECT version, starts_at, ends_at FROM settlements JOIN devices d USING (device_key) WHERE d.name = 'gone-1'"
        " ORDER BY settlement_id DESC LIMIT 1"
    ).fetchone()
    assert row == (change.version, to_datetime(retired.retired_at or 0), settlement.LAST)
    assert asked_for(operator, "gone-1") == before + 1


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the parts of a plan that read readings."""
    if plan.get("Alias", "").startswith("o_"):
        yield plan
    for part in plan.get("Plans", ()):
        yield from scans(part)


def test_a_settlement_reads_no_reading_of_those_who_never_had_the_device(stack: Stack, operator: Database) -> None:
    populate(operator, "gil", "hal")
    for device, subject in (("found-1", "gil"), ("found-2", "hal")):
        devices.enrol(operator, ORG, device, "agora-oximeter")
        loans.lend(operator, ORG, device, subject, T0)
    put(stack, "found-1", "gil", 20)
    put(stack, "found-2", "hal", 5_000, every=MINUTE // 2)
    with database(stack, "owner") as owner:
        owner.execute("ANALYZE observations")
        row = owner.execute(
            "SELECT device_key, array_agg(b.subject_key) FROM device_borrowers b JOIN devices d USING (device_key)"
            " WHERE d.name = 'found-1' GROUP BY 1"
        ).fetchone()
        assert row is not None
        shown = owner.execute(
            "EXPLAIN (ANALYZE, FORMAT JSON) SELECT FROM unsettled_observations(%s, %s, %s, %s, interval '1 h')",
            (*row, to_datetime(T0), to_datetime(T0 + 9 * DAY)),
        ).fetchone()
    assert shown is not None
    found = list(scans((shown[0] if isinstance(shown[0], list) else json.loads(shown[0]))[0]["Plan"]))
    assert found
    read = sum(one["Actual Rows"] + one.get("Rows Removed by Filter", 0) for one in found)
    assert read == 20
