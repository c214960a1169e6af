"""A device changes hands while nobody tells the workers: what they name after the subject before goes to no app of theirs."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import psycopg
import pytest

from deploy.local.stack import Stack
from registry import loans
from runtime.clock import now
from tests.sharing_platform import Platform, database_settings, ensure_running, eventually, metric, observations_of
from tests.sharing_readings import ORG, SECOND, device_of, reading

HEART = "8867-4"


@pytest.fixture
def platform(stack: Stack) -> Iterator[Platform]:
    ensure_running(stack, "keeper", "router")
    with psycopg.connect(database_settings(stack.settings("operator")).conninfo(), autocommit=True) as connection:
        yield Platform(stack, connection)


def withheld(platform: Platform, app: str) -> float:
    told = platform.stack.metrics("router") or ""
    return metric(told, f'agora_sharing_readings_refused_total{{app="{app}",reason="not-on-loan"}}')


async def test_a_reading_after_a_handover_the_keeper_had_not_told_reaches_no_app_of_the_old_subject(platform: Platform) -> None:
    ada, bob = platform.subject("ada"), platform.subject("bob")
    app = platform.app("rhythm")
    for subject in (ada, bob):
        platform.grant(subject, app, HEART)
    await platform.known()
    async with platform.vitals_producer() as producer:
        platform.stack.kill("keeper", signal.SIGSTOP)
        try:
            handover = now()
            loans.give_back(platform.connection, ORG, device_of(ada), handover)
            loans.lend(platform.connection, ORG, device_of(ada), bob, handover)
            # As a worker names them that has not heard of it: the second is Bob's.
            for number, at in enumerate((handover - SECOND, handover + SECOND)):
                await platform.publish(producer, [reading(HEART, 61.0 + number, subject=ada, at=at)])
        finally:
            platform.stack.kill("keeper", signal.SIGCONT)
        await platform.known()
        at = handover + 2 * SECOND
        await platform.publish(producer, [reading(HEART, 63.0, subject=bob, device=device_of(ada), at=at)])
        await platform.routed()
    received = observations_of(await platform.received(app))
    names = platform.pseudonyms(app)
    assert [(record.body["valueQuantity"]["value"], record.body["subject"]["reference"]) for record in received] == [
        (61, f"Patient/{names.subject(ada)}"),
        (63, f"Patient/{names.subject(bob)}"),
    ]
    await eventually(lambda: withheld(platform, app.app) == 1)
