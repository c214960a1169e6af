"""From when a consent and its withdrawal hold, while somebody else holds up what is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest

from contracts.registry import ConsentRecord
from deploy.local.stack import Stack
from registry import outbox
from runtime.clock import now
from sharing import apps, consents
from tests.sharing_platform import Platform, database_settings, ensure_running, eventually, observations_of
from tests.sharing_readings import reading

HEART = "8867-4"
WAITING = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted)"
BOTH_WAIT = "SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"


@pytest.fixture
def platform(stack: Stack) -> Iterator[Platform]:
    ensure_running(stack, "keeper", "router")
    with psycopg.connect(database_settings(stack.settings("operator")).conninfo(), autocommit=True) as connection:
        yield Platform(stack, connection)


async def held_up(
    platform: Platform, change: Callable[[psycopg.Connection[Any]], ConsentRecord], meanwhile: Callable[[], Awaitable[object]]
) -> ConsentRecord:
    """Let a change wait for somebody else's, as for an enrolment of thousands of devices, and do something meanwhile."""
    conninfo = database_settings(platform.operator).conninfo()
    with psycopg.connect(conninfo, autocommit=True) as other, psycopg.connect(conninfo, autocommit=True) as own:
        with other.transaction():
            outbox.hold(other)
            changing = asyncio.create_task(asyncio.to_thread(change, own))
            await eventually(lambda: platform.connection.execute(WAITING, [outbox.LOCK]).fetchone() == (True,))
            await meanwhile()
        return await changing


def grant_from_now_on(connection: psycopg.Connection[Any], subject: str, app: apps.Access) -> ConsentRecord:
    return consents.grant(connection, consents.Grant(subject=subject, app=app.app, vitals=(HEART,), purpose="a test"), "a test")


async def test_a_reading_measured_while_a_consent_waits_to_be_recorded_is_from_before_it_and_a_later_one_arrives(
    platform: Platform,
) -> None:
    subject, app = platform.subject("p"), platform.app("waits")
    await platform.known()
    measured: list[int] = []
    async with platform.vitals_producer() as producer:

        async def measure() -> None:
            measured.append(now())
            await platform.publish(producer, [reading(HEART, 60.0 + len(measured), subject=subject, at=measured[-1])])
            await platform.routed()

        granted = await held_up(platform, lambda own: grant_from_now_on(own, subject, app), measure)
        assert measured[0] < granted.granted_at, "the router has passed it over, so the consent must not promise it"
        await platform.known()
        await measure()
    shown = observations_of(await platform.received(app))
    assert [record.body["valueQuantity"]["value"] for record in shown] == [62]


async def test_a_withdrawal_that_waited_is_dated_when_it_could_be_recorded_and_no_later_than_its_answer(
    platform: Platform,
) -> None:
    subject, app = platform.subject("p"), platform.app("leaves")
    granted = grant_from_now_on(platform.connection, subject, app)
    asked: list[int] = []

    async def wait() -> None:
        asked.append(now())

    withdrawn = await held_up(platform, lambda own: consents.withdraw(own, granted.consent, "the patient"), wait)
    assert withdrawn.withdrawn_at is not None
    assert asked[0] < withdrawn.withdrawn_at <= now()


async def test_an_app_is_revoked_while_a_consent_to_it_waits_and_neither_locks_the_other_out(platform: Platform) -> None:
    subject, app = platform.subject("p"), platform.app("ends")

    async def revoke() -> None:
        conninfo = database_settings(platform.operator).conninfo()

        def run() -> None:
            with psycopg.connect(conninfo, autocommit=True) as own:
                apps.revoke(own, platform.users, app.app)

        revoking.append(asyncio.create_task(asyncio.to_thread(run)))
        await eventually(lambda: platform.connection.execute(BOTH_WAIT, [outbox.LOCK]).fetchone() == (True,))

    revoking: list[asyncio.Task[None]] = []
    await held_up(platform, lambda own: grant_from_now_on(own, subject, app), revoke)
    await revoking[0]
    assert [one.revoked_at is not None for one in apps.listed(platform.connection) if one.name == app.app] == [True]
