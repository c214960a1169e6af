"""The router under load while consents are withdrawn, and while it, the keeper or its lease goes away."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from contracts.observation import Observation
from deploy.local.stack import Stack
from sharing import accesses, apps, consents
from tests.sharing_platform import (
    Platform,
    Received,
    database_settings,
    ensure_running,
    eventually,
    observations_of,
)
from tests.sharing_readings import reading

HEART = "8867-4"
EVERY_SECONDS = 0.01
PER_RECORD = 5


@pytest.fixture
def platform(stack: Stack) -> Iterator[Platform]:
    ensure_running(stack, "keeper", "router")
    settings = database_settings(stack.settings("operator"))
    with psycopg.connect(settings.conninfo(), autocommit=True) as connection:
        yield Platform(stack, connection)


@asynccontextmanager
async def load(platform: Platform, *subjects: str) -> AsyncIterator[list[Observation]]:
    """Publish readings of subjects in turn as long as the block runs; gives what was published."""
    published: list[Observation] = []

    ended = asyncio.Event()

    async def publish() -> None:
        async with platform.vitals_producer() as producer:
            number = 0
            while not ended.is_set():
                for subject in subjects:
                    number += PER_RECORD
                    made = [reading(HEART, 60.0, subject=subject, sequence=number + place) for place in range(PER_RECORD)]
                    await platform.publish(producer, made)
                    published.extend(made)
                await asyncio.sleep(EVERY_SECONDS)

    await platform.known()
    task = asyncio.create_task(publish())
    await asyncio.sleep(1.0)
    try:
        yield published
        await asyncio.sleep(1.0)
    finally:
        ended.set()
        await task


async def released(platform: Platform, app: apps.Access, *subjects: str) -> None:
    """Wait until the app has got something of each of these subjects: what ends later had begun."""

    def began() -> bool:
        return {entry[2] for entry in platform.log(app=app.app) if entry[0] == "released"} >= {*subjects}

    await eventually(began)


def identifiers(platform: Platform, app: apps.Access, published: list[Observation]) -> set[str]:
    names = platform.pseudonyms(app)
    return {names.reading(entry.id) for entry in published}


def now_ms() -> float:
    return time.time() * 1000


def under(received: list[Received], consent: str) -> list[Received]:
    return [record for record in observations_of(received) if record.consent == consent]


async def test_nothing_is_appended_later_than_a_second_after_a_withdrawal_under_load(platform: Platform) -> None:
    leaving, staying = platform.subject("leaving"), platform.subject("staying")
    app = platform.app("rhythm")
    ended, kept = platform.grant(leaving, app, HEART), platform.grant(staying, app, HEART)
    async with load(platform, leaving, staying) as published:
        await released(platform, app, leaving, staying)
        consents.withdraw(platform.connection, ended.consent, by="the patient")
        committed_ms = now_ms()
        await asyncio.sleep(2.0)
    await platform.routed()
    received = await platform.received(app)
    latest = max(record.appended_at_ms for record in under(received, ended.consent))
    assert latest <= committed_ms + 1000
    of_staying = [entry for entry in published if entry.subject == staying]
    assert {record.identifier for record in under(received, kept.consent)} >= identifiers(platform, app, of_staying)
    await eventually(lambda: accesses.withdrawal_evidence(platform.connection, ended.consent).app_told_at is not None)
    evidence = accesses.withdrawal_evidence(platform.connection, ended.consent)
    assert evidence.last_released_at is not None
    assert round(evidence.last_released_at.timestamp() * 1000) == latest
    assert evidence.readings_withheld > 0
    (notice,) = [record for record in await platform.received(app) if record.kind == "agora.consent.withdrawn.v1"]
    assert all(record.offset < notice.offset for record in under(received, ended.consent))


async def test_a_router_killed_again_and_again_releases_every_consented_reading_and_no_other(platform: Platform) -> None:
    consenting, silent = platform.subject("consenting"), platform.subject("silent")
    app = platform.app("rhythm")
    platform.grant(consenting, app, HEART)
    async with load(platform, consenting, silent) as published:
        for _ in range(3):
            platform.stack.kill("router", signal.SIGKILL)
            platform.stack.stop_process("router")
            platform.stack.start_process("router", wait=True)
            await asyncio.sleep(0.7)
    await platform.routed(60)
    received = await platform.received(app)
    expected = [entry for entry in published if entry.subject == consenting]
    assert {record.identifier for record in received} == identifiers(platform, app, expected)
    bodies: dict[str, object] = {}
    for record in received:
        assert bodies.setdefault(record.identifier, record.body) == record.body
    assert sum(entry[4] for entry in platform.log(app=app.app)) == len(expected)


async def test_a_router_suspended_through_a_withdrawal_releases_nothing_when_it_wakes(platform: Platform) -> None:
    app = platform.app("rhythm")
    subjects = [platform.subject(f"leaving-{number}") for number in range(4)]
    held = [platform.grant(subject, app, HEART) for subject in subjects]
    committed_ms: list[float] = []
    async with load(platform, *subjects):
        await released(platform, app, *subjects)
        for consent in held:
            platform.stack.kill("router", signal.SIGSTOP)
            consents.withdraw(platform.connection, consent.consent, by="the patient")
            committed_ms.append(now_ms())
            await asyncio.sleep(1.5)
            platform.stack.kill("router", signal.SIGCONT)
            await asyncio.sleep(0.5)
    await platform.routed()
    received = await platform.received(app)
    for consent, moment in zip(held, committed_ms, strict=True):
        assert max(record.appended_at_ms for record in under(received, consent.consent)) <= moment + 1000


async def test_without_the_keepers_heartbeat_the_router_holds_and_then_goes_on_without_loss(platform: Platform) -> None:
    subject = platform.subject("p")
    app = platform.app("rhythm")
    platform.grant(subject, app, HEART)
    async with load(platform, subject) as published:
        await released(platform, app, subject)
        platform.stack.kill("keeper", signal.SIGSTOP)
        stopped_ms = now_ms()
        try:
            await eventually(lambda: "agora_sharing_router_holding 1.0" in (platform.stack.metrics("router") or ""))
            await asyncio.sleep(1.5)
            received = await platform.received(app)
        finally:
            platform.stack.kill("keeper", signal.SIGCONT)
        assert max(record.appended_at_ms for record in received) <= stopped_ms + 700
    await platform.routed()
    assert "agora_sharing_router_holding 0.0" in (platform.stack.metrics("router") or "")
    received = await platform.received(app)
    assert {record.identifier for record in received} == identifiers(platform, app, published)
    assert [record.identifier for record in received] == [platform.pseudonyms(app).reading(entry.id) for entry in published]


async def test_a_withdrawal_while_the_keeper_is_away_is_kept_by_holding(platform: Platform) -> None:
    subject = platform.subject("p")
    app = platform.app("rhythm")
    consent = platform.grant(subject, app, HEART)
    async with load(platform, subject):
        await released(platform, app, subject)
        platform.stack.kill("keeper", signal.SIGSTOP)
        try:
            consents.withdraw(platform.connection, consent.consent, by="the patient")
            committed_ms = now_ms()
            await asyncio.sleep(2.5)
        finally:
            platform.stack.kill("keeper", signal.SIGCONT)
    await platform.routed()
    received = await platform.received(app)
    assert max(record.appended_at_ms for record in under(received, consent.consent)) <= committed_ms + 1000


async def backlog(platform: Platform, subject: str) -> list[Observation]:
    """Publish at once what keeps the router busy for a while."""
    async with platform.vitals_producer() as producer:
        made = [
            [reading(HEART, 60.0, subject=subject, sequence=number * 40 + place) for place in range(40)] for number in range(250)
        ]
        await asyncio.gather(*(platform.publish(producer, record) for record in made))
    return [entry for record in made for entry in record]


async def test_kafka_restarted_while_the_router_works_loses_nothing(platform: Platform) -> None:
    subject = platform.subject("p")
    app = platform.app("rhythm")
    platform.grant(subject, app, HEART)
    await platform.known()
    published = await backlog(platform, subject)
    platform.stack.stop_process("kafka")
    platform.stack.start_server("kafka")
    await platform.routed(90)
    received = await platform.received(app)
    assert {record.identifier for record in received} == identifiers(platform, app, published)
    assert sum(entry[4] for entry in platform.log(app=app.app)) == len(published)


async def test_without_the_database_nothing_is_committed_and_afterwards_everything_is_logged(platform: Platform) -> None:
    subject = platform.subject("p")
    app = platform.app("rhythm")
    platform.grant(subject, app, HEART)
    await platform.known()
    published = await backlog(platform, subject)
    platform.stack.stop_process("postgres")
    await asyncio.sleep(2.0)
    platform.stack.start_server("postgres")
    await platform.routed(90)
    received = await platform.received(app)
    assert {record.identifier for record in received} == identifiers(platform, app, published)
    settings = database_settings(platform.stack.settings("operator"))
    with psycopg.connect(settings.conninfo()) as connection:
        rows = connection.execute("SELECT sum(readings) FROM access_log WHERE app = %s", [app.app]).fetchall()
    assert rows == [(len(published),)]
