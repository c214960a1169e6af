"""The router: releases to each app exactly what patients consented to.

It reads ``agora.vitals.v1`` in rounds. Of each round every app is brought what it may see; what was released is recorded; and
only then are the source's offsets committed, so that after a crash everything comes again under the same ids.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from contracts.frames import Coordinates
from contracts.observation import Observation
from contracts.registry import AppRecord, ConsentRecord, DeviceRecord, Record
from contracts.topics import REGISTRY_APPS, REGISTRY_CONSENTS, REGISTRY_DEVICES, VITALS, Topic
from runtime import kafka, memory, telemetry
from runtime.clock import now
from runtime.compacted import CompactedView
from runtime.settings import DatabaseSettings, KafkaSettings, ProcessSettings, load
from sharing import access_log, events
from sharing.delivery import RETRY_SECONDS, Delivery, Item, Stopped
from sharing.fhir.observation import group
from sharing.known_apps import KnownApps
from sharing.lease import Lease
from sharing.leased_producer import LeasedProducer
from sharing.lendings import Lendings
from sharing.notices import Notices
from sharing.pseudonyms import master_of
from sharing.release import ConsentIndex, Refusal
from sharing.settings import PseudonymSettings
from sharing.vitals_record import messages_by_subject

GROUP = "agora-router"
ROUND_RECORDS = 200
"""At most so many frames a round, and a mebibyte of them per partition: what is decoded at once stays small."""
FETCH_BYTES = 1024 * 1024
POLL_MS = 200
HOLD_MS = 24 * 3600 * 1000
"""How long the router may hold without being taken for dead by its group."""


class Router:
    """One round after the other, in order."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        pool: AsyncConnectionPool[Any],
        consents: ConsentIndex,
        apps: KnownApps,
        lease: Lease,
        delivery: Delivery,
        stopping: asyncio.Event,
    ) -> None:
        self._consumer = consumer
        self._pool = pool
        self._consents = consents
        self._apps = apps
        self._lease = lease
        self._delivery = delivery
        self._stopping = stopping

    async def run(self) -> None:
        """Release until told to stop."""
        while not self._stopping.is_set():
            records = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=ROUND_RECORDS)
            if records:
                await self._round(records)

    async def _round(self, records: dict[TopicPartition, list[Any]]) -> None:
        if not await self._lease.held(self._stopping):
            raise Stopped
        items = self._sort(records)
        # After the consents were matched: whoever has one had its topic before, and the database knows it by now.
        await self._insist(lambda: self._apps.look(self._pool))
        brought = await asyncio.gather(*(self._delivery.bring(app, of_app) for app, of_app in items.items()))
        entries = [entry for of_app in brought for entry in of_app]
        if entries:
            await self._insist(lambda: self._record(entries))
        try:
            await self._consumer.commit({partition: found[-1].offset + 1 for partition, found in records.items()})
        except KafkaError as error:
            events.COMMIT_FAILED.emit(reason=type(error).__name__)

    def _sort(self, records: dict[TopicPartition, list[Any]]) -> dict[str, list[Item]]:
        """Give each app what it has any consent for, in the order of the source."""
        items: defaultdict[str, list[Item]] = defaultdict(list)
        total = 0
        considered: Counter[str] = Counter()
        for record in (record for found in records.values() for record in found):
            source = Coordinates(record.topic, record.partition, record.offset)
            for subject, messages in _read(record).items():
                number = sum(map(len, messages))
                total += number
                apps = self._consents.of_subject(subject)
                groups = [together for message in messages for together in group(message)] if apps else []
                for app in apps:
                    considered[app] += number
                    items[app] += [Item(source, record.timestamp, readings) for readings in groups]
        for app in self._apps.names():
            if total > considered[app]:
                events.READINGS_REFUSED.emit(total - considered[app], app=app, reason=Refusal.NO_CONSENT.value)
        return items

    async def _record(self, entries: list[access_log.Entry]) -> None:
        async with self._pool.connection() as connection:
            await access_log.record(connection, entries)

    async def _insist(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Try until the database answers: what cannot be recorded is not committed."""
        while True:
            try:
                await attempt()
                return
            except (psycopg.OperationalError, PoolTimeout) as error:
                events.LOG_FAILED.emit(reason=type(error).__name__)
                if self._stopping.is_set():
                    raise Stopped from error
                await asyncio.sleep(RETRY_SECONDS)


def _read(record: Any) -> dict[str, list[list[Observation]]]:
    """Read a vitals record; one that cannot be read is released to nobody."""
    try:
        return messages_by_subject(record.value, record.headers)
    except ValueError:
        events.RECORD_UNREADABLE.emit()
        return {}


async def route(stopping: asyncio.Event) -> None:
    """Build the router from its settings and run it.

    Args:
        stopping: ends it.
    """
    settings = load(KafkaSettings)
    apps = KnownApps(master_of(load(PseudonymSettings).master.get_secret_value()))
    consents, lendings = ConsentIndex(), Lendings()
    async with AsyncExitStack() as stack:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            load(DatabaseSettings).conninfo(), min_size=1, max_size=2, timeout=5.0, open=False, kwargs={"autocommit": True}
        )
        await stack.enter_async_context(pool)
        # Not idempotent: a lost sequence number would break it for good, and a notice may be told twice.
        announcer = kafka.producer(settings, enable_idempotence=False)
        await announcer.start()
        stack.push_async_callback(announcer.stop)
        producer = LeasedProducer(settings)
        await producer.start()
        stack.push_async_callback(producer.stop)

        def learn_app(app: str, record: AppRecord | None) -> None:
            apps.put(app, record)
            _tell_version(REGISTRY_APPS, record)

        def learn_consent(consent: str, record: ConsentRecord | None) -> None:
            consents.put(consent, record)
            notices.put(record)
            _tell_version(REGISTRY_CONSENTS, record)

        def learn_device(device: str, record: DeviceRecord | None) -> None:
            lendings.put(device, record)
            _tell_version(REGISTRY_DEVICES, record)

        app_view = CompactedView(settings, REGISTRY_APPS, AppRecord, learn_app)
        consent_view = CompactedView(settings, REGISTRY_CONSENTS, ConsentRecord, learn_consent)
        device_view = CompactedView(settings, REGISTRY_DEVICES, DeviceRecord, learn_device)
        lease = Lease((consent_view, app_view, device_view), now)
        delivery = Delivery(lease, consents, lendings, apps, producer, device_view.confirm, now, stopping)
        notices = Notices(apps, delivery.locks, announcer, pool)
        for view in (app_view, consent_view, device_view):
            await view.start()
            stack.push_async_callback(view.stop)
        consumer = kafka.consumer(
            settings,
            GROUP,
            VITALS.name,
            max_partition_fetch_bytes=FETCH_BYTES,
            max_poll_interval_ms=HOLD_MS,
            fetch_max_wait_ms=kafka.PROMPT_MILLISECONDS,
        )
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        known = {"consents": len(consent_view.records), "apps": len(app_view.records), "devices": len(device_view.records)}
        events.ROUTER_STARTED.emit(**known)
        announcing = asyncio.create_task(notices.run(), name="withdrawal notices")
        router = Router(consumer, pool, consents, apps, lease, delivery, stopping)
        routing = asyncio.create_task(router.run(), name="router")
        try:
            await asyncio.wait({announcing, routing}, return_when=asyncio.FIRST_COMPLETED)
            if announcing.done():
                announcing.result()
            with suppress(Stopped):
                await routing
        finally:
            announcing.cancel()
            routing.cancel()
            await asyncio.gather(announcing, routing, return_exceptions=True)
        events.ROUTER_STOPPED.emit()


def _tell_version(topic: Topic, record: Record | None) -> None:
    if record is not None:
        events.KNOWN_VERSION.labels(topic.name).set(record.version)


async def _main() -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await route(stopping)


def run() -> int:
    """Run the process ``agora router``.

    Returns:
        The exit code.
    """
    telemetry.start(load(ProcessSettings), "router")
    memory.settle()
    asyncio.run(_main())
    return 0
