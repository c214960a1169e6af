import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ingest.settings import IngestSettings
from ingest.valve import Valve, low
from runtime.disks import Disk

BROKER, KAFKA, DATABASE = SERVERS = (Path("/data/mosquitto"), Path("/data/kafka"), Path("/data/postgres"))
NOTHING_FREE = Path("/proc")
"""A file system that always says that no byte of it is free."""


def of(*folders: Path) -> frozenset[Path]:
    return frozenset(folders)


@pytest.mark.parametrize(
    ("was_shut", "free", "expected"),
    [(False, 100, False), (False, 99, True), (True, 100, True), (True, 109, True), (True, 110, False)],
)
def test_it_closes_below_the_least_and_opens_only_clearly_above_it(was_shut: bool, free: int, expected: bool) -> None:
    assert bool(low(of(KAFKA) if was_shut else of(), [Disk((KAFKA,), free)], 100)) is expected


@pytest.mark.parametrize("full", SERVERS)
def test_one_full_disk_among_several_is_enough_and_is_the_one_that_is_named(full: Path) -> None:
    assert low(of(), [Disk((folder,), 99 if folder == full else 1000) for folder in SERVERS], 100) == {full}


def test_all_folders_of_a_full_disk_are_named() -> None:
    assert low(of(), [Disk((BROKER, DATABASE), 99), Disk((KAFKA,), 1000)], 100) == {BROKER, DATABASE}


def test_a_disk_that_was_never_low_does_not_have_to_be_clearly_above_the_least() -> None:
    assert low(of(DATABASE), [Disk((DATABASE,), 1000), Disk((KAFKA,), 105)], 100) == of()


def test_a_disk_with_room_again_does_not_hide_one_that_has_none() -> None:
    assert low(of(DATABASE, KAFKA), [Disk((DATABASE,), 1000), Disk((KAFKA,), 0)], 100) == {KAFKA}


@pytest.mark.parametrize("were_low", [of(), of(KAFKA)])
def test_a_disk_that_cannot_be_looked_at_any_more_stays_what_it_was(were_low: frozenset[Path]) -> None:
    assert low(were_low, [Disk((DATABASE,), 1000)], 100) == were_low


async def look_once(valve: Valve) -> None:
    watching = asyncio.create_task(valve.run())
    await asyncio.sleep(0)
    watching.cancel()


async def test_a_disk_that_cannot_be_looked_at_closes_nothing_and_is_told_once(tmp_path: Path) -> None:
    valve = Valve([tmp_path / "missing", tmp_path], 1, lambda: None)
    with capture_logs() as told:
        await look_once(valve)
        await look_once(valve)
    assert not valve.shut
    assert [(line["event"], line["folder"]) for line in told] == [("ingest.disk_unknown", str(tmp_path / "missing"))]


async def test_each_disk_is_told_by_its_folders_when_it_fills_and_when_there_is_room_again(tmp_path: Path) -> None:
    first, second, other = folders = [tmp_path / name for name in ("first", "second", "other")]
    for folder in folders:
        folder.symlink_to(tmp_path)
    changes: list[bool] = []
    valve = Valve(folders, 1, lambda: changes.append(valve.shut))
    with capture_logs() as told:
        await look_once(valve)
        for folder in (first, second):
            folder.unlink()
            folder.symlink_to(NOTHING_FREE)
        await look_once(valve)
        other.unlink()
        other.symlink_to(NOTHING_FREE)
        await look_once(valve)
        for folder in folders:
            folder.unlink()
            folder.symlink_to(tmp_path)
        await look_once(valve)
    assert [(line["event"], line["folders"]) for line in told] == [
        ("ingest.disk_low", [str(first), str(second)]),
        ("ingest.disk_low", [str(other)]),
        ("ingest.disk_enough", [str(first), str(second), str(other)]),
    ]
    assert changes == [True, False]


@pytest.mark.parametrize(
    ("settings", "watched"),
    [
        ({}, ()),
        ({"disk_folders": "/a"}, (Path("/a"),)),
        ({"disk_folders": "/a:/b c:"}, (Path("/a"), Path("/b c"))),
        ({"disk_folder": "/d"}, (Path("/d"),)),
        ({"disk_folders": "/a:/b", "disk_folder": "/d"}, (Path("/a"), Path("/b"), Path("/d"))),
    ],
)
def test_one_folder_or_several_are_watched(settings: dict[str, str], watched: tuple[Path, ...]) -> None:
    assert IngestSettings.model_validate(settings).watched_folders == watched
