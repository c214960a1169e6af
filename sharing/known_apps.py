"""The apps as the router knows them: which are alive, whose topic stands, and under which names each sees people."""

from __future__ import annotations

from typing import Any

from psycopg_pool import AsyncConnectionPool

from contracts.registry import AppRecord
from sharing.pseudonyms import AppPseudonyms
from sharing.release import Refusal


class KnownApps:
    """Apps from the registry's topic, with what the database says about their provisioning."""

    def __init__(self, master: bytes) -> None:
        """Know none yet.

        Args:
            master: the secret all pseudonyms derive from.
        """
        self._master = master
        self._records: dict[str, AppRecord] = {}
        self._provisioned: set[str] = set()
        self._pseudonyms: dict[str, AppPseudonyms] = {}
        self._generations: dict[str, int] = {}

    def put(self, app: str, record: AppRecord | None) -> None:
        """Take in an app's newest state, None where it is to be forgotten."""
        self._generations[app] = self.generation(app) + 1
        self._pseudonyms.pop(app, None)
        if record is None:
            self._records.pop(app, None)
        else:
            self._records[app] = record

    async def look(self, pool: AsyncConnectionPool[Any]) -> None:
        """Ask the database which apps have their topic and rights, if some app's are not known to stand.

        Args:
            pool: as the router's role.
        """
        if all(app in self._provisioned or not record.active for app, record in self._records.items()):
            return
        async with pool.connection() as connection:
            rows = await connection.execute("SELECT name FROM apps WHERE provisioned_at IS NOT NULL AND revoked_at IS NULL")
            self._provisioned = {row[0] for row in await rows.fetchall()}

    def names(self) -> list[str]:
        """List the apps that are alive."""
        return [app for app, record in self._records.items() if record.active]

    def refusal(self, app: str) -> Refusal | None:
        """Say why nothing at all may go to an app, None where it may."""
        record = self._records.get(app)
        if record is None:
            return Refusal.APP_UNKNOWN
        if not record.active:
            return Refusal.APP_REVOKED
        return None if app in self._provisioned else Refusal.APP_NOT_PROVISIONED

    def pseudonyms(self, app: str) -> AppPseudonyms:
        """Give the names under which a known app sees people."""
        if app not in self._pseudonyms:
            self._pseudonyms[app] = AppPseudonyms(self._master, app, self._records[app].pseudonym_epoch)
        return self._pseudonyms[app]

    def generation(self, app: str) -> int:
        """Give a number that changes whenever the app does."""
        return self._generations.get(app, 0)
