"""Consents in the database: revisions that nothing changes, and the router's copy with them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from uuid import uuid4

import psycopg
import pytest

from bench.chaos import cast
from contracts.registry import ConsentRecord
from contracts.topics import REGISTRY_CONSENTS
from deploy.local.stack import Stack
from sharing import consents
from sharing.consents import ConsentRefused
from tests.sharing_platform import Platform, database_settings
from tests.sharing_readings import SECOND

HEART = "8867-4"


@pytest.fixture
def platform(stack: Stack) -> Iterator[Platform]:
    with psycopg.connect(database_settings(stack.settings("operator")).conninfo(), autocommit=True) as connection:
        yield Platform(stack, connection)


@pytest.fixture
def app(platform: Platform) -> str:
    name = f"app-{platform.mark}"
    platform.connection.execute(
        "INSERT INTO apps (name, org, display, client_id, secret_hash, provisioned_at) VALUES (%s, %s, 'An app', %s, '', now())",
        [name, platform.org, name],
    )
    return name


def asked(subject: str, app: str, **more: object) -> consents.Grant:
    values = {"subject": subject, "app": app, "vitals": (HEART,), "purpose": "a test"} | more
    return consents.Grant(**values)  # type: ignore[arg-type]


def published(platform: Platform, consent: str) -> list[ConsentRecord]:
    rows = platform.connection.execute(
        "SELECT value FROM outbox WHERE topic = %s AND key = %s ORDER BY version", [REGISTRY_CONSENTS.name, consent]
    )
    return [ConsentRecord.model_validate(row[0]) for row in rows]


def test_a_consent_and_its_withdrawal_are_two_revisions_and_two_records_for_the_router(platform: Platform, app: str) -> None:
    subject = platform.subject("p")
    granted = consents.grant(platform.connection, asked(subject, app, ends_at=4_000_000_000 * SECOND), by="an operator")
    withdrawn = consents.withdraw(platform.connection, granted.consent, by="the patient")
    assert (granted.revision, withdrawn.revision) == (1, 2)
    assert granted.withdrawn_at is None
    assert withdrawn.withdrawn_at is not None
    assert withdrawn.withdrawn_at >= granted.granted_at
    assert consents.find(platform.connection, granted.consent) == withdrawn
    assert consents.listed(platform.connection, subject=subject) == [withdrawn]
    sent = published(platform, granted.consent)
    assert [record.model_copy(update={"version": 0}) for record in sent] == [granted, withdrawn]
    assert 0 < sent[0].version < sent[1].version
    rows = platform.connection.execute(
        "SELECT text_shown, text_hash, recorded_by FROM consent_revisions WHERE consent = %s ORDER BY revision", [granted.consent]
    ).fetchall()
    assert [row[2] for row in rows] == ["an operator", "the patient"]
    assert all(sha256(row[0].encode()).hexdigest() == row[1] for row in rows)
    assert "An app of An organisation of a test" in rows[0][0]


def test_what_was_recorded_can_be_neither_changed_nor_deleted(platform: Platform, app: str) -> None:
    granted = consents.grant(platform.connection, asked(platform.subject("p"), app), by="an operator")
    owner = database_settings(platform.stack.settings("owner"))
    with psycopg.connect(owner.conninfo(), autocommit=True) as connection:
        for statement in (
            "UPDATE consent_revisions SET purpose = 'x' WHERE consent = %s",
            "DELETE FROM consent_revisions WHERE consent = %s",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement, [granted.consent])


def test_a_consent_withdrawn_by_several_at_once_is_withdrawn_once(platform: Platform, app: str) -> None:
    granted = consents.grant(platform.connection, asked(platform.subject("p"), app), by="an operator")
    conninfo = database_settings(platform.stack.settings("operator")).conninfo()

    def withdraw(number: int) -> ConsentRecord:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            return consents.withdraw(connection, granted.consent, by=f"person {number}")

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(withdraw, range(4)))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert len(published(platform, granted.consent)) == 2


def test_a_transaction_of_the_caller_that_is_rolled_back_leaves_neither_consent_nor_record(platform: Platform, app: str) -> None:
    subject = platform.subject("p")
    with platform.connection.transaction(force_rollback=True):
        granted = consents.grant(platform.connection, asked(subject, app), by="an operator")
        assert consents.listed(platform.connection, subject=subject) == [granted]
    assert consents.listed(platform.connection, subject=subject) == []
    assert published(platform, granted.consent) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"subject": "nobody"}, "no subject"),
        ({"app": "no-app"}, "no active app"),
        ({"vitals": ("1-8",)}, "not a vital"),
        ({"vitals": ()}, "at least one vital"),
        ({"purpose": " "}, "purpose is needed"),
        ({"purpose": "x" * 501}, "purpose is needed"),
        ({"ends_at": 1}, "end before it begins"),
        ({"history_from": 4_000_000_000 * SECOND, "ends_at": 3_900_000_000 * SECOND}, "end before it begins"),
    ],
)
def test_a_consent_that_makes_no_sense_is_refused_in_words(
    platform: Platform, app: str, change: dict[str, object], words: str
) -> None:
    subject = platform.subject("p")
    with pytest.raises(ConsentRefused, match=words):
        consents.grant(platform.connection, asked(**({"subject": subject, "app": app} | change)), by="an operator")  # type: ignore[arg-type]


def test_a_revoked_app_gets_no_consent(platform: Platform, app: str) -> None:
    platform.connection.execute("UPDATE apps SET revoked_at = now() WHERE name = %s", [app])
    with pytest.raises(ConsentRefused, match="no active app"):
        consents.grant(platform.connection, asked(platform.subject("p"), app), by="an operator")


def test_chaos_takes_a_withdrawal_at_the_instant_of_its_record_also_when_it_asks_again(platform: Platform, app: str) -> None:
    granted = consents.grant(platform.connection, asked(platform.subject("p"), app), by="an operator")
    first = cast.withdraw(platform.connection, granted.consent)
    again = cast.withdraw(platform.connection, granted.consent)
    assert first == again == consents.find(platform.connection, granted.consent).withdrawn_at


def test_an_app_whose_topic_is_not_made_yet_gets_no_consent_and_who_asks_is_told_what_to_do(platform: Platform, app: str) -> None:
    subject = platform.subject("p")
    with platform.connection.transaction(force_rollback=True):  # the keeper, which would make it, never sees the app like that
        platform.connection.execute("UPDATE apps SET provisioned_at = NULL WHERE name = %s", [app])
        with pytest.raises(ConsentRefused, match=r"has no topic yet.*try again.*\./agora status"):
            consents.grant(platform.connection, asked(subject, app), by="an operator")
        assert consents.listed(platform.connection, subject=subject) == []


def test_a_consent_nobody_gave_cannot_be_withdrawn(platform: Platform) -> None:
    with pytest.raises(ConsentRefused, match="no consent"):
        consents.withdraw(platform.connection, str(uuid4()), by="somebody")
