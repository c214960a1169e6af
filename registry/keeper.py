"""The keeper's process: stands by, leads, and while it leads runs what only one may do."""

from __future__ import annotations

import asyncio
import signal
import traceback
from collections.abc import Awaitable, Callable

import psycopg
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException

from registry import events
from registry.app_access import AppAccess
from registry.broker_watch import BrokerWatch
from registry.clock_watch import ClockWatch
from registry.credentials import Credentials
from registry.leadership import Leadership, LeadershipLost, acquire
from registry.publication import TopicReset
from registry.publisher import Publisher
from registry.retention import Retention
from registry.settings import KeeperSettings
from registry.settling import Settling
from registry.watchdog import Watchdog
from runtime import settings as settings_of
from runtime import telemetry
from runtime.settings import DatabaseSettings, KafkaSettings, ProcessSettings

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
AWAY = (psycopg.OperationalError, KafkaError, KafkaException, TopicReset, OSError, TimeoutError)
"""What says that a server does not answer: it is waited for."""


def run() -> int:
    """Run the keeper until it is told to stop.

    Returns:
        Exit code 0.

    Raises:
        Misconfigured: a setting is missing or wrong.
    """
    process = settings_of.load(ProcessSettings)
    keeper = settings_of.load(KeeperSettings)
    database, kafka = settings_of.load(DatabaseSettings), settings_of.load(KafkaSettings)
    telemetry.start(process, "keeper")
    asyncio.run(_main(keeper, database, kafka))
    return 0


async def _main(keeper: KeeperSettings, database: DatabaseSettings, kafka: KafkaSettings) -> None:
    serving = asyncio.create_task(serve(keeper, database, kafka))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        return


async def serve(keeper: KeeperSettings, database: DatabaseSettings, kafka: KafkaSettings) -> None:
    """Stand by and lead, in turn, for ever.

    Args:
        keeper: files and pauses.
        database: as the keeper's role.
        kafka: as the keeper's user.
    """
    while True:
        try:
            async with acquire(database) as leadership:
                await _lead(leadership, keeper, database, kafka)
        except* LeadershipLost as group:
            events.LEADERSHIP_LOST.emit(reason=str(_first(group)))


async def _lead(leadership: Leadership, keeper: KeeperSettings, database: DatabaseSettings, kafka: KafkaSettings) -> None:
    publisher = Publisher(database, kafka, leadership)
    tasks: dict[str, Callable[[], Awaitable[None]]] = {
        "publisher": publisher.run,
        "credentials": Credentials(keeper, database, leadership, publisher).run,
        "apps": AppAccess(keeper, database, kafka, leadership, publisher).run,
        "watchdog": Watchdog(keeper, database, kafka, leadership).run,
        "settling": Settling(database, kafka).run,
        "retention": Retention(keeper, database).run,
        "broker watch": BrokerWatch(keeper).run,
        "clock watch": ClockWatch().run,
    }
    async with asyncio.TaskGroup() as group:
        group.create_task(leadership.hold(), name="leadership")
        for name, work in tasks.items():
            group.create_task(_again_and_again(name, work), name=name)


async def _again_and_again(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run a task for ever; what it cannot do now it does later. Only the loss of leadership ends it.

    A fault of our own in one task (telling of it as an error) must not stop the others: without a heartbeat nothing is released.
    """
    pause = FIRST_PAUSE_SECONDS
    loop = asyncio.get_running_loop()
    while True:
        begun = loop.time()
        try:
            await work()
        except LeadershipLost:
            raise
        except AWAY as error:
            events.TASK_INTERRUPTED.emit(task=name, reason=type(error).__name__)
        except Exception as error:
            # Not the error's words, which can hold a row's values; where it happened is enough to find it.
            place = traceback.extract_tb(error.__traceback__)[-1]
            events.TASK_FAILED.emit(task=name, reason=type(error).__name__, file=place.filename, line=place.lineno)
        pause = FIRST_PAUSE_SECONDS if loop.time() - begun > LONGEST_PAUSE_SECONDS else min(2 * pause, LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(pause)


def _first(group: BaseExceptionGroup[LeadershipLost]) -> LeadershipLost:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, LeadershipLost)
    return found
