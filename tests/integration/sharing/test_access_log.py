"""The router's entries in the access log, in the real database."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from contracts.frames import Coordinates
from contracts.registry import ConsentRecord
from deploy.local.stack import Stack
from sharing import access_log
from sharing.access_log import RELEASED, Entry
from tests.sharing_platform import Platform, database_settings
from tests.sharing_readings import EFFECTIVE_AT, reading

HEART = "8867-4"


@pytest.fixture
def platform(stack: Stack) -> Iterator[Platform]:
    with psycopg.connect(database_settings(stack.settings("operator")).conninfo(), autocommit=True) as connection:
        yield Platform(stack, connection)


def entry(consent: ConsentRecord, stamp: int, value: float) -> Entry:
    """A release from the first record of a partition that was written at an instant in milliseconds."""
    made = Entry(RELEASED, "", consent, Coordinates("agora.vitals.v1", 0, 0), stamp)
    made.add([reading(HEART, value, subject=consent.subject)], EFFECTIVE_AT, 0)
    return made


async def test_a_second_pass_is_logged_once_and_the_same_offset_of_a_new_kafka_again(platform: Platform) -> None:
    app = f"app-{platform.mark}"
    consent = ConsentRecord(
        consent=str(uuid4()), subject=f"p-{platform.mark}", app=app, vitals=frozenset({HEART}), granted_at=1, purpose="a test"
    )
    settings = database_settings(platform.stack.settings("router"))
    async with await psycopg.AsyncConnection.connect(settings.conninfo(), autocommit=True) as connection:
        for stamp in (1_795_000_000_000, 1_795_000_000_000, 1_795_900_000_000):
            await access_log.record(connection, [entry(consent, stamp, 60.0)])
    assert platform.log(app=app) == [("released", "", consent.subject, [HEART], 1)] * 2
