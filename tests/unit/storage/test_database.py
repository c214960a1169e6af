"""What the database says, as our errors."""

import psycopg
import pytest

from contracts.errors import AgoraError, Unavailable
from storage.database import Refused, Undone, translated


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (psycopg.errors.DeadlockDetected, Undone),
        (psycopg.errors.LockNotAvailable, Undone),
        (psycopg.errors.AdminShutdown, Unavailable),
        (psycopg.errors.IdleInTransactionSessionTimeout, Unavailable),
        (psycopg.errors.NumericValueOutOfRange, Refused),
    ],
)
def test_an_error_of_the_database_tells_what_must_happen_next(said: type[psycopg.Error], expected: type[AgoraError]) -> None:
    with pytest.raises(expected), translated():
        raise said("words")


def test_what_must_not_happen_stays_what_it_is() -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), translated():
        raise psycopg.errors.UndefinedTable("words")
