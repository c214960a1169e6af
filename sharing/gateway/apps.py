"""The apps that ask, and the subjects they ask about by pseudonym."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.rows import class_row

from sharing.pseudonyms import AppPseudonyms

LOOK_BACK = 1000
"""How many of the newest keys are read again: transactions that began earlier may show theirs later."""


@dataclass(frozen=True)
class KnownApp:
    """An app as the gateway needs it.

    Attributes:
        name: its name.
        client_id: its OAuth client.
        secret_hash: hash of the client's secret.
        epoch: of its pseudonyms.
        active: False once revoked.
    """

    name: str
    client_id: str
    secret_hash: str
    epoch: int
    active: bool


class Subject(NamedTuple):
    """A person, as the database knows them."""

    key: int
    name: str


_APP = """
SELECT name::text, client_id, secret_hash, pseudonym_epoch AS epoch, revoked_at IS NULL AS active FROM apps
"""


def app_by_client(connection: Connection[Any], client_id: str) -> KnownApp | None:
    """Find the app of an OAuth client."""
    with connection.cursor(row_factory=class_row(KnownApp)) as cursor:
        return cursor.execute(_APP + "WHERE client_id = %s", [client_id]).fetchone()


def app_by_name(connection: Connection[Any], name: str) -> KnownApp | None:
    """Find an app."""
    with connection.cursor(row_factory=class_row(KnownApp)) as cursor:
        return cursor.execute(_APP + "WHERE name = %s", [name]).fetchone()


class _AppView:
    """Subjects by the pseudonym one app knows them under."""

    def __init__(self, pseudonyms: AppPseudonyms) -> None:
        self.pseudonyms = pseudonyms
        self.subjects: dict[str, Subject] = {}
        self.newest_key = 0


class Directory:
    """Turns pseudonyms back into subjects: they are one-way, so those of all subjects are made once and remembered.

    Args:
        master: the secret pseudonyms derive from.
    """

    def __init__(self, master: bytes) -> None:
        self._master = master
        self._views: dict[tuple[str, int], _AppView] = {}
        self._lock = Lock()

    def pseudonyms(self, app: KnownApp) -> AppPseudonyms:
        """Give an app's pseudonyms."""
        return self._view(app).pseudonyms

    def find(self, connection: Connection[Any], app: KnownApp, pseudonym: str) -> Subject | None:
        """Find whom an app means.

        Args:
            connection: as a role that may read subjects.
            app: who asks.
            pseudonym: as the app gave it.

        Returns:
            The subject, consenting or not, or None.
        """
        view = self._view(app)
        if pseudonym not in view.subjects:
            rows = connection.execute(
                "SELECT subject_key, name::text FROM subjects WHERE subject_key > %s ORDER BY subject_key",
                [view.newest_key - LOOK_BACK],
            )
            for key, name in rows.fetchall():
                view.subjects[view.pseudonyms.subject(name)] = Subject(key, name)
                view.newest_key = max(view.newest_key, key)
        return view.subjects.get(pseudonym)

    def _view(self, app: KnownApp) -> _AppView:
        with self._lock:
            view = self._views.get((app.name, app.epoch))
            if view is None:
                view = self._views[app.name, app.epoch] = _AppView(AppPseudonyms(self._master, app.name, app.epoch))
        return view


def subject_named(connection: Connection[Any], name: str) -> str:
    """Give back a subject's real name if it is one, for the record of a refusal; else nothing."""
    row = connection.execute("SELECT name::text FROM subjects WHERE name = %s", [name]).fetchone()
    return "" if row is None else str(row[0])
