import asyncio
from pathlib import Path

import pytest

from ingest.valve import Valve, shut


@pytest.mark.parametrize(
    ("was_shut", "free", "expected"),
    [(False, 100, False), (False, 99, True), (True, 100, True), (True, 109, True), (True, 110, False)],
)
def test_it_closes_below_the_least_and_opens_only_clearly_above_it(was_shut: bool, free: int, expected: bool) -> None:
    assert shut(was_shut, free, 100) is expected


async def test_a_disk_that_cannot_be_looked_at_closes_nothing(tmp_path: Path) -> None:
    valve = Valve(tmp_path / "missing", 1, lambda: None)
    watching = asyncio.create_task(valve.run())
    await asyncio.sleep(0)
    watching.cancel()
    assert not valve.shut
