"""The process ``agora store``: from Kafka into TimescaleDB, each record exactly once.

The positions in Kafka live in the database and move in the transaction that writes the rows. So a store may be killed at any
point, or two of them believe that a partition is theirs, and nothing is lost or written twice: see
docs/adr/0005-exactly-once-writer.md.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Mapping, Sequence
from typing import NoReturn, TypeVar

from aiokafka.errors import KafkaError

from contracts.errors import AgoraError, Unavailable
from runtime import memory, telemetry
from runtime.clock import now
from runtime.settings import DatabaseSettings, KafkaSettings, ProcessSettings, load
from storage import events
from storage.database import Undone
from storage.pieces import KafkaRecord
from storage.settings import StoreSettings
from storage.source import Source
from storage.tables import Place
from storage.writer import Fenced, Writer

T = TypeVar("T")
RETRY_SECONDS = 0.5


class TopicReset(AgoraError):
    """Kafka ends, or gives records, below the position that the database holds: their offsets mean others than those stored."""


class Store:
    """Moves records until it is asked to stop."""

    def __init__(self, kafka: KafkaSettings, database: DatabaseSettings, settings: StoreSettings) -> None:
        """Prepare the store.

        Args:
            kafka: as the user ``store``.
            database: as the role ``agora_store``.
            settings: sizes and waits.
        """
        self._stopping = asyncio.Event()
        self._writing = asyncio.Lock()
        self._writer = Writer(database, settings, now)
        self._source = Source(kafka, settings, self._settled)
        self._oldest: int | None = None
        events.DELAY.set_function(self._delay)  # worked out when it is asked for: it grows while the database is away

    def _delay(self) -> float:
        oldest = self._oldest
        return 0.0 if oldest is None else max(0.0, (now() - oldest) / 1e6)

    def stop(self) -> None:
        """Ask the store to finish its transaction and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until ``stop``.

        Raises:
            Exception: what must not happen; nothing is half-written then.
        """
        try:
            await self._unless_stopped(self._source.start())
            events.STARTED.emit()
            while not self._stopping.is_set():
                if self._source.changed:
                    await self._resume()
                else:
                    await self._step()
        finally:
            await self._source.stop()
            await self._writer.close()
            events.STOPPED.emit()

    async def _resume(self) -> None:
        """Ask the database where to go on."""
        self._source.changed = False
        places = self._source.places()
        try:
            async with self._writing:
                positions = await self._writer.load(places)
        except (Unavailable, Undone) as error:
            await self._database_away(error)
            return
        if not self._source.changed and await self._reach(positions):
            self._source.seek(positions)
            events.POSITIONS_LOADED.emit(partitions=len(positions))

    async def _reach(self, positions: Mapping[Place, int]) -> bool:
        """Make sure that Kafka reaches to where the database stands, also of topics of which nothing comes for long.

        Raises:
            TopicReset: it does not. Once as much was written again, nobody could tell, and just that would be passed over.
        """
        try:
            ends = await self._unless_stopped(self._source.ends(positions))
        except KafkaError as error:
            self._source.changed = True
            events.KAFKA_AWAITED.emit(reason=type(error).__name__)
            await self._unless_stopped(asyncio.sleep(RETRY_SECONDS))
            return False
        if ends is None:
            return False
        for (topic, partition), following in positions.items():
            if following > ends[topic, partition]:
                self._reset(topic, partition, following - ends[topic, partition])
        return not self._source.changed

    def _reset(self, topic: str, partition: int, ahead: int) -> NoReturn:
        events.TOPIC_RESET.emit(topic=topic, partition=partition, ahead=ahead)
        raise TopicReset(topic)

    async def _step(self) -> None:
        records = await self._unless_stopped(self._source.gather())
        if not records or self._source.changed or self._stopping.is_set():
            return  # what was read before a change may be another's by now; it is read again
        self._look_for_expired(records)
        if self._oldest is None:
            self._oldest = min(record.timestamp for record in records) * 1000
        try:
            async with self._writing:
                await self._writer.write(records)
        except Fenced:
            events.WRITER_FENCED.emit()
            self._source.changed = True
        except (Unavailable, Undone) as error:
            await self._database_away(error)
        if not self._source.changed:
            self._tell_lag(records)

    def _tell_lag(self, written: Sequence[KafkaRecord]) -> None:
        behind = self._source.lag(self._writer.positions)
        for topic, lag in behind.items():
            events.LAG.labels(topic).set(lag)
        # What comes after the records just written is about as old as the newest of them.
        self._oldest = max(record.timestamp for record in written) * 1000 if any(behind.values()) else None

    async def _database_away(self, error: Unavailable | Undone) -> None:
        """Wait a moment; then begin from the database's own positions, since it may have committed before it went."""
        self._source.changed = True
        events.DATABASE_AWAITED.emit(reason=str(error))
        await self._writer.close()
        await self._unless_stopped(asyncio.sleep(RETRY_SECONDS))

    def _look_for_expired(self, records: Sequence[KafkaRecord]) -> None:
        """Tell where Kafka's first record lies behind our position: retention was faster than the store.

        Raises:
            TopicReset: it lies before our position. Kafka was set up anew; to pass such records over would lose them in silence.
        """
        seen: set[tuple[str, int]] = set()
        for record in records:
            place = record.topic, record.partition
            if place not in seen:
                seen.add(place)
                if (lost := record.offset - self._writer.positions[place]) > 0:
                    events.RECORDS_EXPIRED.emit(lost, topic=record.topic, partition=record.partition)
                elif lost < 0:
                    self._reset(record.topic, record.partition, -lost)

    async def _settled(self) -> None:
        async with self._writing:
            return

    async def _unless_stopped(self, work: Awaitable[T]) -> T | None:
        """Wait for something, but not beyond the wish to stop; None then."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return None
        return task.result()


async def _main() -> int:
    store = Store(load(KafkaSettings), load(DatabaseSettings), load(StoreSettings))
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, store.stop)
    try:
        await store.run()
    except Exception as error:
        # The words of an error from the database can hold values; its kind and place do not.
        events.FAILED.emit(reason=type(error).__name__, place=_place(error))
        return 1
    return 0


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""


def run() -> int:
    """Run the store until SIGTERM.

    Returns:
        Exit code: 0 after a clean end, 1 when something happened that must not.

    Raises:
        Misconfigured: when a setting is missing.
    """
    telemetry.start(load(ProcessSettings), "store")
    memory.settle()
    return asyncio.run(_main())
