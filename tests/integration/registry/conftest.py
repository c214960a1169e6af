from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.stack import Stack
from registry.outbox import Database
from tests.support.keeping import Keeper, database, populate


@pytest.fixture
def operator(stack: Stack) -> Iterator[Database]:
    with database(stack) as connection:
        populate(connection, "anna", "ben")
        yield connection


@pytest.fixture
def keeper(stack: Stack, tmp_path: Path) -> Iterator[Keeper]:
    with Keeper(stack, tmp_path / "keeper.log", AGORA_KEEPER_HOLE_SECONDS="2", AGORA_KEEPER_WATCH_SECONDS="0.5") as running:
        running.wait_leading()
        yield running
