"""The outbox to the compacted topics, in the order of its versions, with a heartbeat behind."""

from __future__ import annotations

import time
from typing import Any

from psycopg import AsyncConnection

from contracts.instants import SECOND
from contracts.registry import HEARTBEAT_SECONDS, LEASE_SECONDS
from contracts.topics import REGISTRY_APPS
from registry import events, outbox_queue, resync
from registry.leadership import Leadership, LeadershipLost
from registry.publication import Fenced, Publication
from registry.signals import Ear, Signal
from runtime.settings import DatabaseSettings, KafkaSettings

Connection = AsyncConnection[tuple[Any, ...]]


class Publisher:
    """Publishes as long as this keeper leads.

    Attributes:
        confirmed: raised when records were confirmed by Kafka.
        apps_confirmed: raised when one of them was an app's.
    """

    def __init__(self, database: DatabaseSettings, kafka: KafkaSettings, leadership: Leadership) -> None:
        self.confirmed = Signal()
        self.apps_confirmed = Signal()
        self._database = database
        self._kafka = kafka
        self._leadership = leadership
        self._ear = leadership.changed.ear()

    async def run(self) -> None:
        """Publish until a server fails to answer.

        Raises:
            LeadershipLost: another keeper writes, or the lock is in doubt.
            psycopg.Error, KafkaError, TimeoutError: a server did not answer; the next run begins with a resync.
        """
        publication = Publication(self._kafka)
        try:
            await publication.open()
            async with await AsyncConnection.connect(self._database.conninfo(), autocommit=True) as connection:
                await resync.run(connection, publication)
                self.confirmed.raise_()
                self.apps_confirmed.raise_()
                await self._follow(connection, publication, self._ear)
        except Fenced as error:
            raise LeadershipLost("fenced") from error
        finally:
            await publication.close()

    async def _follow(self, connection: Connection, publication: Publication, ear: Ear) -> None:
        next_beat = 0.0
        while True:
            await ear.wait(next_beat - time.monotonic())
            looked_at = time.monotonic()
            found = await outbox_queue.look(connection)
            as_of = found.as_of if self._may_beat(looked_at) else None
            if found.rows:
                # Not to be told of only after a batch of hundreds is through; the gauge is for when Kafka is slow.
                events.OUTBOX_PENDING.set(await outbox_queue.pending_count(connection))
            await publication.publish((row.line for row in found.rows), as_of)
            if as_of is not None:
                next_beat = looked_at + HEARTBEAT_SECONDS
                events.HEARTBEATS_SENT.emit()
                events.HEARTBEAT_AS_OF.set(as_of / SECOND)
            if found.rows:
                await self._confirm(connection, found.rows)

    def _may_beat(self, looked_at: float) -> bool:
        """Refuse a heartbeat while the lock is in doubt, or when what it says was read too long ago to be of use."""
        if not self._leadership.is_sure():
            raise LeadershipLost("in doubt")
        return time.monotonic() - looked_at < LEASE_SECONDS

    async def _confirm(self, connection: Connection, rows: list[outbox_queue.Pending]) -> None:
        await outbox_queue.mark_published(connection, [row.version for row in rows])
        events.RECORDS_PUBLISHED.emit(amount=len(rows))
        events.OUTBOX_PENDING.set(await outbox_queue.pending_count(connection))
        self.confirmed.raise_()
        if REGISTRY_APPS.name in outbox_queue.topics_of(rows):
            self.apps_confirmed.raise_()
