"""Connections to the database, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from contracts.errors import AgoraError, Unavailable
from runtime.settings import DatabaseSettings

LOCK_SECONDS = 10.0
IDLE_SECONDS = 30.0


class Undone(AgoraError):
    """The database undid the transaction for the sake of another one; run again, it may succeed."""


class Refused(AgoraError):
    """The database refuses a value; the same transaction would fail for ever."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours, by what must happen next.

    Raises:
        Undone: run the transaction again.
        Refused: find the row.
        Unavailable: connect anew and wait.
        psycopg.Error: what is left; a broken invariant, such as a missing table.
    """
    try:
        yield
    except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, psycopg.errors.LockNotAvailable) as error:
        raise Undone(type(error).__name__) from error
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        # The driver's text can hold values: only the kind of error goes on.
        raise Refused(type(error).__name__) from None
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.IdleInTransactionSessionTimeout) as error:
        raise Unavailable(type(error).__name__) from None


def session(lock_seconds: float = LOCK_SECONDS, idle_seconds: float = IDLE_SECONDS) -> str:
    """Give a session's settings: who is stopped between two statements of a transaction must not hold others' rows for ever.

    The time that a statement itself waits for its client, as a COPY for its data, does not count: see ``storage.holders``.

    Args:
        lock_seconds: how long a lock is waited for.
        idle_seconds: how long an open transaction may wait for its next statement before the database ends the session.

    Returns:
        Options in libpq's form.
    """
    lock, idle = round(lock_seconds * 1000), round(idle_seconds * 1000)
    return f"-c idle_in_transaction_session_timeout={idle} -c lock_timeout={lock} -c timezone=UTC"


async def connect(settings: DatabaseSettings, options: str = session()) -> psycopg.AsyncConnection:
    """Connect, each statement outside a ``transaction()`` being one of its own.

    Args:
        settings: the database, and as whom.
        options: session settings in libpq's form.

    Returns:
        An open connection.

    Raises:
        Unavailable: it does not answer.
    """
    try:
        return await psycopg.AsyncConnection.connect(settings.conninfo(), autocommit=True, options=options)
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database at {settings.host}:{settings.port} does not answer ({type(error).__name__})") from None
