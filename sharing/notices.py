"""Tells each app, on its topic, that a consent ended and its data must be erased; once recorded as told, not again.

The notice must come after the last reading. Apps drop repeats of it, so the first one counts, whichever router sends it: each
waits until no router can have a lease from before the withdrawal, and then for what this one has on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from contracts.errors import AgoraError
from contracts.instants import to_datetime
from contracts.registry import ConsentRecord
from contracts.topics import app_topic
from runtime.clock import elapsed
from sharing import cloud_events, events
from sharing.known_apps import KnownApps
from sharing.lease import seconds_until_last
from sharing.release import Refusal

RETRY_SECONDS = 1.0


class NotYet(AgoraError):
    """An app cannot be told yet: nobody could read it."""


class Heard(NamedTuple):
    """A withdrawn revision, and when it was heard of, in seconds of ``clock.elapsed``."""

    consent: ConsentRecord
    at: float


class Notices:
    """Follows withdrawals. An app may be told twice after a crash; the event's id is then the same."""

    def __init__(
        self,
        apps: KnownApps,
        locks: Mapping[str, asyncio.Lock],
        producer: AIOKafkaProducer,
        pool: AsyncConnectionPool[Any],
    ) -> None:
        """Put the parts together.

        Args:
            apps: all that are known.
            locks: by app, held while this router's readings are on their way, so that the notice comes after the last of them.
            producer: needs no lease, since it carries no reading.
            pool: as the router's role.
        """
        self._apps = apps
        self._locks = locks
        self._producer = producer
        self._pool = pool
        self._waiting: asyncio.Queue[Heard] = asyncio.Queue()
        self._told: set[tuple[str, int]] | None = None
        self._asking = asyncio.Lock()

    def put(self, consent: ConsentRecord | None) -> None:
        """Take in a consent's newest revision; only withdrawals matter."""
        if consent is not None and consent.withdrawn_at is not None:
            self._waiting.put_nowait(Heard(consent, elapsed()))

    async def run(self) -> None:
        """Tell for ever; what is not available is waited for, each app by itself: none waits for another's topic."""
        by_app: dict[str, asyncio.Queue[Heard]] = {}
        async with asyncio.TaskGroup() as tellers:
            while True:
                heard = await self._waiting.get()
                app = heard.consent.app
                if app not in by_app:
                    by_app[app] = asyncio.Queue()
                    tellers.create_task(self._serve(by_app[app]), name=f"notices of {app}")
                by_app[app].put_nowait(heard)

    async def _serve(self, waiting: asyncio.Queue[Heard]) -> None:
        """Tell one app, in order."""
        while True:
            heard = await waiting.get()
            while True:
                try:
                    await self._settle(heard)
                    break
                except (KafkaError, psycopg.Error, PoolTimeout, NotYet) as error:
                    events.NOTICE_FAILED.emit(app=heard.consent.app, reason=type(error).__name__)
                    await asyncio.sleep(RETRY_SECONDS)

    async def _remembered(self) -> set[tuple[str, int]]:
        """Give consents and revisions of which was told; asked for once."""
        async with self._asking:
            if self._told is None:
                async with self._pool.connection() as connection:
                    rows = await connection.execute("SELECT consent, revision FROM withdrawal_notices")
                    self._told = {(str(consent), revision) for consent, revision in await rows.fetchall()}
            return self._told

    async def _settle(self, heard: Heard) -> None:
        """Tell an app unless it was told, or is no more.

        Raises:
            NotYet: its topic is not made, or the app is not heard of yet.
        """
        consent = heard.consent
        told, key = await self._remembered(), (consent.consent, consent.revision)
        if key in told:
            return
        await asyncio.sleep(seconds_until_last(heard.at, elapsed()))
        await self._apps.look(self._pool)
        refusal = self._apps.refusal(consent.app)
        if refusal is Refusal.APP_REVOKED:
            return
        if refusal is not None:
            raise NotYet
        await self._tell(consent)
        told.add(key)

    async def _tell(self, consent: ConsentRecord) -> None:
        event = cloud_events.withdrawal(consent, self._apps.pseudonyms(consent.app))
        async with self._locks[consent.app]:
            answer = await self._producer.send_and_wait(
                app_topic(consent.app).name, event.value, key=event.key, headers=event.headers, partition=0
            )
        assert consent.withdrawn_at is not None
        async with self._pool.connection() as connection:
            await connection.execute(
                "INSERT INTO withdrawal_notices (consent, revision, app, withdrawn_at, topic_offset, appended_at)"
                " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [
                    UUID(consent.consent),
                    consent.revision,
                    consent.app,
                    to_datetime(consent.withdrawn_at),
                    answer.offset,
                    to_datetime(answer.timestamp * 1000),
                ],
            )
        events.WITHDRAWAL_NOTIFIED.emit(app=consent.app)
