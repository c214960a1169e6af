"""Changes of the registry on a real database: row and outbox record together, refusals in words, readings that follow."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from contracts.instants import HOUR, SECOND, from_datetime, to_datetime
from contracts.registry import DeviceRecord, RuleRecord
from contracts.topics import REGISTRY_DEVICES, REGISTRY_RULES
from deploy.local.stack import Stack
from registry import clocks, devices, loans, organisations, rules
from registry.devices import NewDevice
from registry.outbox import Database
from registry.passwords import matches
from registry.refusal import Refused
from tests.support.keeping import ORG, database

T0 = from_datetime(datetime(2026, 11, 1, tzinfo=UTC))


def newest(connection: Database, key: str, topic: str = REGISTRY_DEVICES.name) -> tuple[int, dict[str, Any] | None]:
    row = connection.execute(
        "SELECT version, value FROM outbox WHERE topic = %s AND key = %s ORDER BY version DESC LIMIT 1", (topic, key)
    ).fetchone()
    assert row is not None
    return row


def device(connection: Database, name: str) -> DeviceRecord:
    _, value = newest(connection, f"{ORG}/{name}")
    return DeviceRecord.model_validate(value)


def test_an_enrolment_writes_row_and_record_and_keeps_no_password(operator: Database) -> None:
    made = devices.enrol(operator, ORG, "ox-1", "agora-oximeter")
    version, value = newest(operator, f"{ORG}/ox-1")
    assert version == made.version
    assert value is not None
    assert DeviceRecord.model_validate(value) == DeviceRecord(version=version, org=ORG, device="ox-1", model="agora-oximeter")
    stored = operator.execute("SELECT broker_password_hash FROM devices WHERE name = 'ox-1'").fetchone()
    assert stored is not None
    assert matches(made.password, stored[0])
    assert made.password not in repr(made)
    everything = operator.execute("SELECT d::text FROM devices d UNION ALL SELECT o::text FROM outbox o").fetchall()
    assert not any(made.password in text for (text,) in everything)


def test_a_failed_change_leaves_neither_row_nor_record(operator: Database) -> None:
    before = operator.execute("SELECT count(*) FROM outbox").fetchone()
    new = [NewDevice(ORG, f"bulk-{number}", "agora-cuff") for number in range(3)]
    with pytest.raises(Refused, match="no organisation 'nowhere'"):
        devices.enrol_many(operator, [*new, NewDevice("nowhere", "x", "agora-cuff")])
    assert operator.execute("SELECT count(*) FROM outbox").fetchone() == before
    assert operator.execute("SELECT count(*) FROM devices WHERE name LIKE 'bulk-%'").fetchone() == (0,)
    made = devices.enrol_many(operator, new)
    assert [each.version for each in made] == sorted(each.version for each in made)
    with pytest.raises(Refused, match="Enrolled already: keeping/bulk-1"):
        devices.enrol_many(operator, [NewDevice(ORG, "bulk-1", "agora-cuff"), NewDevice(ORG, "bulk-9", "agora-cuff")])
    assert operator.execute("SELECT count(*) FROM devices WHERE name = 'bulk-9'").fetchone() == (0,)


def test_refusals_are_words_and_never_repeat_a_patients_number(operator: Database) -> None:
    with pytest.raises(Refused, match="is an organisation 'keeping' already"):
        organisations.add_organisation(operator, ORG, "Again")
    organisations.add_subject(operator, "carla", ORG, "urn:mrn", "4711-secret")
    with pytest.raises(Refused, match="has this identifier already") as refused:
        organisations.add_subject(operator, "dora", ORG, "urn:mrn", "4711-secret")
    assert "4711" not in str(refused.value)
    with pytest.raises(Refused, match="is a subject 'carla' already"):
        organisations.add_subject(operator, "carla", ORG, "urn:mrn", "4712")
    with pytest.raises(Refused, match="must be a URI"):
        organisations.add_subject(operator, "emil", ORG, "mrn", "1")
    with pytest.raises(Refused, match="no device 'keeping/none'"):
        loans.retire(operator, ORG, "none")
    with pytest.raises(Refused, match="no subject 'nobody'"):
        rules.set_rule(operator, RuleRecord(rule="r", vital="8867-4", subject="nobody", low=40))


def test_a_loan_that_overlaps_is_refused_with_whose_it_is(operator: Database) -> None:
    devices.enrol(operator, ORG, "ox-2", "agora-oximeter")
    loans.lend(operator, ORG, "ox-2", "anna", T0, T0 + HOUR)
    loans.lend(operator, ORG, "ox-2", "ben", T0 + HOUR)
    with pytest.raises(Refused, match="on loan to 'anna' from 2026-11-01T00:00:00"):
        loans.lend(operator, ORG, "ox-2", "ben", T0 + HOUR // 2, T0 + HOUR)
    loans.give_back(operator, ORG, "ox-2", T0 + 2 * HOUR)
    with pytest.raises(Refused, match="Nobody has"):
        loans.give_back(operator, ORG, "ox-2", T0 + 3 * HOUR)
    assert [(loan.subject, loan.start, loan.end) for loan in device(operator, "ox-2").loans] == [
        ("anna", T0, T0 + HOUR),
        ("ben", T0 + HOUR, T0 + 2 * HOUR),
    ]


def test_a_retired_device_ends_its_loan_and_comes_back_with_a_new_password(operator: Database) -> None:
    first = devices.enrol(operator, ORG, "ox-3", "agora-oximeter")
    loans.lend(operator, ORG, "ox-3", "anna", T0)
    loans.retire(operator, ORG, "ox-3")
    assert device(operator, "ox-3").retired
    assert device(operator, "ox-3").loans[0].end is not None
    with pytest.raises(Refused, match="was retired"):
        devices.rotate_password(operator, ORG, "ox-3")
    second = devices.enrol(operator, ORG, "ox-3", "agora-oximeter")
    assert second.password != first.password
    assert not device(operator, "ox-3").retired
    assert second.version > first.version


def test_two_changes_of_one_device_at_once_never_overlook_each_other(stack: Stack, operator: Database) -> None:
    devices.enrol(operator, ORG, "ox-4", "agora-oximeter")

    def lend(number: int) -> None:
        with database(stack) as connection:
            loans.lend(connection, ORG, "ox-4", "anna", T0 + number * HOUR, T0 + (number + 1) * HOUR)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lend, range(12)))
    assert len(device(operator, "ox-4").loans) == 12


def test_a_rule_and_its_removal_reach_the_outbox(operator: Database) -> None:
    rules.set_rule(operator, RuleRecord(rule="hr-anna", vital="8867-4", subject="anna", low=45, high=120, hysteresis=3))
    _, value = newest(operator, "hr-anna", REGISTRY_RULES.name)
    assert RuleRecord.model_validate(value).high == 120
    assert [rule.rule for rule in rules.list_rules(operator)] == ["hr-anna"]
    rules.remove_rule(operator, "hr-anna")
    assert newest(operator, "hr-anna", REGISTRY_RULES.name)[1] is None
    with pytest.raises(Refused, match="no rule 'hr-anna'"):
        rules.remove_rule(operator, "hr-anna")


def store(stack: Stack, name: str, times: list[int], subject: str, received: int | None = None) -> None:
    """Write readings as the store does."""
    with database(stack, "store") as connection, connection.transaction():
        connection.execute(
            "INSERT INTO vitals (code, display, unit) VALUES ('8867-4', 'Heart rate', '/min') ON CONFLICT DO NOTHING"
        )
        for time in times:
            connection.execute(
                "INSERT INTO observations (device_time, effective_at, received_at, sequence, value, device_key, subject_key,"
                "  quality, vital_key, site_key, profile)"
                " SELECT %s, %s, %s, 0, 70, d.device_key, s.subject_key, 0, v.vital_key, t.site_key, 1"
                " FROM devices d, subjects s, vitals v, sites t"
                " WHERE d.name = %s AND s.name = %s AND v.code = '8867-4' AND t.name = ''",
                (to_datetime(time), to_datetime(time), to_datetime(received or time + SECOND), name, subject),
            )


def rows(connection: Database, name: str) -> list[tuple[int, int, str, int]]:
    found = connection.execute(
        "SELECT o.device_time, o.effective_at, s.name, o.quality FROM observations o JOIN devices d USING (device_key)"
        " JOIN subjects s USING (subject_key) WHERE d.name = %s ORDER BY 1",
        (name,),
    )
    return [(from_datetime(sent), from_datetime(effective), subject, quality) for sent, effective, subject, quality in found]


def test_stored_readings_follow_a_corrected_loan_in_the_same_transaction(stack: Stack, operator: Database) -> None:
    devices.enrol(operator, ORG, "ox-5", "agora-oximeter")
    loans.lend(operator, ORG, "ox-5", "anna", T0)
    store(stack, "ox-5", [T0 + hour * HOUR for hour in range(6)], "anna")
    change = loans.give_back(operator, ORG, "ox-5", T0 + 2 * HOUR)
    assert (change.readings.moved, change.readings.set_aside) == (0, 4)
    assert [subject for _, _, subject, _ in rows(operator, "ox-5")] == ["anna"] * 2
    change = loans.lend(operator, ORG, "ox-5", "ben", T0 + 3 * HOUR)
    assert (change.readings.moved, change.readings.set_aside) == (3, 0)
    assert [subject for _, _, subject, _ in rows(operator, "ox-5")] == ["anna", "anna", "ben", "ben", "ben"]
    [_, bens] = loans.list_loans(operator, ORG, "ox-5")
    change = loans.correct(operator, bens.loan_id, "ben", T0 + 2 * HOUR, None)
    assert change.readings.moved == 1
    assert len(rows(operator, "ox-5")) == 6
    [annas, _] = loans.list_loans(operator, ORG, "ox-5")
    assert loans.remove(operator, annas.loan_id).readings.set_aside == 2
    assert operator.execute("SELECT count(*) FROM observations_set_aside").fetchone() == (2,)


def test_other_devices_readings_stay_where_they_are(stack: Stack, operator: Database) -> None:
    for name in ("ox-6", "ox-7"):
        devices.enrol(operator, ORG, name, "agora-oximeter")
        loans.lend(operator, ORG, name, "anna", T0)
        store(stack, name, [T0 + HOUR], "anna")
    loans.give_back(operator, ORG, "ox-6", T0 + SECOND)
    assert rows(operator, "ox-6") == []
    assert len(rows(operator, "ox-7")) == 1


def test_stored_readings_follow_a_corrected_clock_and_go_back_when_it_is_taken_back(stack: Stack, operator: Database) -> None:
    devices.enrol(operator, ORG, "ox-8", "agora-oximeter")
    loans.lend(operator, ORG, "ox-8", "anna", T0, T0 + 10 * HOUR)
    loans.lend(operator, ORG, "ox-8", "ben", T0 + 10 * HOUR)
    store(stack, "ox-8", [T0 + 8 * HOUR, T0 + 9 * HOUR, T0 + 11 * HOUR], "anna", received=T0 + 12 * HOUR)
    change = clocks.correct(operator, ORG, "ox-8", T0 + 9 * HOUR, T0 + 11 * HOUR, 3 * HOUR)
    assert change.readings.moved >= 1
    corrected = rows(operator, "ox-8")
    assert [(sent, effective, subject) for sent, effective, subject, _ in corrected] == [
        (T0 + 8 * HOUR, T0 + 8 * HOUR, "anna"),
        (T0 + 9 * HOUR, T0 + 12 * HOUR, "ben"),
        (T0 + 11 * HOUR, T0 + 11 * HOUR, "anna"),
    ], "the last stood outside the corrected span, and is left to the loans' own correction"
    assert corrected[1][3] == 64, "clock corrected, and neither late nor suspect by the corrected time"
    with pytest.raises(Refused, match="Another clock correction"):
        clocks.correct(operator, ORG, "ox-8", T0, None, HOUR)
    [correction] = clocks.list_corrections(operator, ORG, "ox-8")
    clocks.remove(operator, ORG, "ox-8", correction.correction_id)
    assert rows(operator, "ox-8")[1] == (T0 + 9 * HOUR, T0 + 9 * HOUR, "anna", 4)


def test_no_role_can_do_more_than_its_process_needs(stack: Stack, operator: Database) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        operator.execute("UPDATE observations SET value = 0")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        operator.execute("UPDATE outbox SET published_at = now()")
    with database(stack, "keeper") as keeper:
        for forbidden in ("UPDATE devices SET model = 'x'", "DELETE FROM loans", "INSERT INTO consent_revisions DEFAULT VALUES"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                keeper.execute(forbidden)
    with database(stack, "gateway") as gateway, pytest.raises(psycopg.errors.InsufficientPrivilege):
        gateway.execute("SELECT settle_observations(1, now(), now(), interval '1 s')")


def test_a_list_shows_who_has_a_device_now(operator: Database) -> None:
    now = from_datetime(datetime.now(UTC) - timedelta(minutes=1))
    devices.enrol(operator, ORG, "ox-9", "agora-oximeter")
    loans.lend(operator, ORG, "ox-9", "ben", now)
    shown = {one.device: one for one in devices.list_devices(operator, ORG)}
    assert shown["ox-9"].subject == "ben"
    assert not shown["ox-9"].settled
    loans.retire(operator, ORG, "ox-9")
    assert "ox-9" not in {one.device for one in devices.list_devices(operator, ORG)}
    assert "ox-9" in {one.device for one in devices.list_devices(operator, ORG, retired_too=True)}
