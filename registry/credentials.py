"""The broker's credentials: who may connect, by what the registry says and Kafka has confirmed.

A device is let in once the newest record of it that Kafka confirmed says it is in use: a device that can connect is known. It
is cut off as soon as its row says so, Kafka or no Kafka.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

from psycopg import AsyncConnection

from contracts.topics import REGISTRY_DEVICES
from registry import events, password_file, restored
from registry.leadership import Leadership, LeadershipLost
from registry.publisher import Publisher
from registry.settings import KeeperSettings
from registry.signals import Ear
from runtime.settings import DatabaseSettings

Connection = AsyncConnection[tuple[Any, ...]]
LOOK_SECONDS = 0.5
"""How soon somebody else's write to the file, or another broker process, is noticed."""
WHOLE_SECONDS = 10.0
"""How often everything is compared although nothing was told."""
RELOAD_SECONDS = 0.1
"""What the broker is given to read the file (27 ms for 10,000 devices) before a device is said to be let in."""
CHANNEL = "agora_broker_settled"


class Account(NamedTuple):
    """A device's row as far as the broker is concerned."""

    key: int
    user: str
    hashed: str
    accepted: bool
    settled: bool
    retired: bool


class Credentials:
    """Keeps the password file like the registry as long as this keeper leads."""

    def __init__(
        self, settings: KeeperSettings, database: DatabaseSettings, leadership: Leadership, publisher: Publisher
    ) -> None:
        self._settings = settings
        self._database = database
        self._leadership = leadership
        self._ears: tuple[Ear, ...] = (leadership.changed.ear(), publisher.confirmed.ear())
        self._written: str | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._told: int | None = None
        self._missed = False

    async def run(self) -> None:
        """Keep the file until the database fails to answer.

        Raises:
            LeadershipLost: the lock is in doubt.
            psycopg.Error, OSError: the database did not answer, or the file cannot be written.
        """
        async with await AsyncConnection.connect(self._database.conninfo(), autocommit=True) as connection:
            whole_at = 0.0
            while True:
                if time.monotonic() >= whole_at:
                    whole_at = time.monotonic() + WHOLE_SECONDS
                    await self._compare(connection)
                elif self._meddled():
                    await self._compare(connection)
                if await self._changed():
                    await self._compare(connection)

    async def _changed(self) -> bool:
        """Wait a moment for either signal."""
        waits = {asyncio.ensure_future(ear.wait(LOOK_SECONDS)) for ear in self._ears}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return any(wait.result() for wait in done)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _meddled(self) -> bool:
        """Tell whether somebody else wrote the file (a former leader, late), or another broker process runs."""
        if password_file.stamp(self._settings.broker_password_file) != self._stamp:
            return True
        pid = self._broker()
        return pid is not None and pid != self._told

    async def _compare(self, connection: Connection) -> None:
        if not await restored.confirmed(connection):
            return  # the file knows more than a restored table: who was cut off since the backup stays so
        accounts = await _accounts(connection)
        services = self._services()
        if services is None:
            return
        text = password_file.compose(services, ((each.user, each.hashed) for each in accounts if each.accepted))
        # Read and write at once, without waiting in between: what was read must not grow old.
        if not self._leadership.is_sure():
            raise LeadershipLost("in doubt")
        changed = self._write(text)
        self._tell(changed)
        events.DEVICES_ACCEPTED.set(sum(each.accepted for each in accounts))
        await self._settle(connection, accounts, changed)

    def _services(self) -> str | None:
        """Read the services' accounts; without them the bridge would be locked out, so nothing is written then."""
        try:
            services = self._settings.service_accounts_file.read_text(encoding="utf-8")
        except OSError:
            services = ""
        if not services.strip():
            events.ACCOUNTS_MISSED.emit()
            return None
        return services

    def _write(self, text: str) -> bool:
        path = self._settings.broker_password_file
        seen = password_file.stamp(path)
        if self._written is None or seen != self._stamp:
            self._stamp, self._written = seen, password_file.read(path)
        if text == self._written:
            return False
        self._stamp, self._written = password_file.write(path, text), text
        events.CREDENTIALS_WRITTEN.emit(accounts=text.count("\n"))
        return True

    def _broker(self) -> int | None:
        pid_file = self._settings.broker_pid_file
        return None if pid_file is None else password_file.broker_pid(pid_file)

    def _tell(self, changed: bool) -> None:
        if self._settings.broker_pid_file is None:
            return
        pid = self._broker()
        if pid is None:
            if not self._missed:
                events.BROKER_MISSED.emit()
            self._missed, self._told = True, None
            return
        self._missed = False
        # A process we have not spoken to may have read the file before our last write.
        if (changed or pid != self._told) and password_file.reload(pid):
            self._told = pid
            events.CREDENTIALS_RELOADED.emit()

    async def _settle(self, connection: Connection, accounts: list[Account], changed: bool) -> None:
        done = [each for each in accounts if not each.settled and (each.accepted or each.retired)]
        if not done:
            return
        if changed:
            await asyncio.sleep(RELOAD_SECONDS)
        async with connection.transaction():
            await connection.execute(
                "UPDATE devices d SET broker_settled_at = clock_timestamp()"
                " FROM unnest(%s::integer[], %s::text[], %s::boolean[]) AS given (device_key, hashed, retired)"
                " WHERE d.device_key = given.device_key AND d.broker_password_hash = given.hashed"
                "  AND (d.retired_at IS NOT NULL) = given.retired",
                ([each.key for each in done], [each.hashed for each in done], [each.retired for each in done]),
            )
            await connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))


async def _accounts(connection: Connection) -> list[Account]:
    rows = await connection.execute(
        "SELECT d.device_key, d.org || '/' || d.name, d.broker_password_hash,"
        " d.retired_at IS NULL AND coalesce(newest.value ->> 'retired' = 'false', false), d.broker_settled_at IS NOT NULL,"
        " d.retired_at IS NOT NULL"
        " FROM devices d LEFT JOIN LATERAL (SELECT o.value FROM outbox o WHERE o.topic = %s AND o.key = d.org || '/' || d.name"
        "  AND o.published_at IS NOT NULL ORDER BY o.version DESC LIMIT 1) newest ON true",
        (REGISTRY_DEVICES.name,),
    )
    return [Account(*row) for row in await rows.fetchall()]
