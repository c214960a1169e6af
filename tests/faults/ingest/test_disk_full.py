"""The bridge while the disk that a server writes on is full: it refuses in time, says so, and recovers."""

import asyncio
import os
from pathlib import Path

import pytest

from contracts.down import correlation_text
from deploy.local.instance import SERVERS
from deploy.local.stack import Stack
from tests.support.bridging import BridgeProcess, Device, enrol, raw, until

NOTHING_FREE = Path("/proc")
"""A file system that always says that no byte of it is free."""


def on(disk: Path, folder: Path) -> None:
    """Put a server's folder on a disk."""
    folder.unlink(missing_ok=True)
    folder.symlink_to(disk)


@pytest.mark.parametrize("server", SERVERS)
async def test_while_the_disk_of_a_server_is_full_nothing_is_let_in_and_afterwards_all_of_it_is(
    server: str, stack: Stack, tmp_path: Path
) -> None:
    org = f"disk-{server}"
    enrol(stack, [f"{org}/d-1"])
    folders = {name: tmp_path / name for name in SERVERS}
    for folder in folders.values():
        on(tmp_path, folder)
    watched = os.pathsep.join(map(str, folders.values()))
    async with Device(stack, f"{org}/d-1") as device, BridgeProcess(stack, disk_folders=watched, disk_least_mib=1) as bridge:
        device.send(b"disk.1", correlation=b"disk.1")
        await until(lambda: correlation_text(b"disk.1") in device.receipted())
        on(NOTHING_FREE, folders[server])
        await until(lambda: bridge.metric("disk_low_total") == 1)
        assert [line["folders"] for line in bridge.told("ingest.disk_low")] == [[str(folders[server])]]
        device.send(b"disk.2", correlation=b"disk.2")
        await until(lambda: len(device.acknowledged) >= 2)  # the broker keeps it
        await asyncio.sleep(1.0)  # many times longer than it takes where nothing is wrong
        assert correlation_text(b"disk.2") not in device.receipted()
        assert {name for name, folder in folders.items() if bridge.metric("disk_free_bytes", folder=str(folder)) == 0} == {server}
        assert bridge.metric("delay_seconds") > 1.0, "live data is so late"
        assert b"disk.2" not in [message.payload for message in await raw(stack, org)]
        on(tmp_path, folders[server])
        await until(lambda: correlation_text(b"disk.2") in device.receipted())
        assert bridge.metric("delay_seconds") < 1.0
        assert [line["folders"] for line in bridge.told("ingest.disk_enough")] == [[str(folders[server])]]
        assert [message.payload for message in await raw(stack, org)] == [b"disk.1", b"disk.2"]
