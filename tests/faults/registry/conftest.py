from collections.abc import Iterator

import pytest

from deploy.local.stack import Stack
from registry.outbox import Database
from tests.support.keeping import database, populate


@pytest.fixture
def operator(stack: Stack) -> Iterator[Database]:
    with database(stack) as connection:
        populate(connection, "anna", "ben")
        yield connection
