"""The bridge while the disk that the servers write on is full: it refuses in time, says so, and recovers."""

import asyncio
from pathlib import Path

from contracts.down import correlation_text
from deploy.local.stack import Stack
from tests.support.bridging import BridgeProcess, Device, enrol, raw, until

DEVICE = "bridging-disk/d-1"
NOTHING_FREE = Path("/proc")
"""A file system that always says that no byte of it is free."""


async def test_while_the_disk_is_full_nothing_is_let_in_and_afterwards_all_of_it_is(stack: Stack, tmp_path: Path) -> None:
    enrol(stack, [DEVICE])
    disk = tmp_path / "disk"
    disk.symlink_to(tmp_path)
    async with Device(stack, DEVICE) as device, BridgeProcess(stack, disk_folder=disk, disk_least_mib=1) as bridge:
        device.send(b"disk.1", correlation=b"disk.1")
        await until(lambda: correlation_text(b"disk.1") in device.receipted())
        disk.unlink()
        disk.symlink_to(NOTHING_FREE)
        await until(lambda: bridge.metric("disk_low_total") == 1)
        device.send(b"disk.2", correlation=b"disk.2")
        await until(lambda: len(device.acknowledged) >= 2)  # the broker keeps it
        await asyncio.sleep(1.0)  # many times longer than it takes where nothing is wrong
        assert correlation_text(b"disk.2") not in device.receipted()
        assert bridge.metric("disk_free_bytes") == 0
        assert bridge.metric("delay_seconds") > 1.0, "live data is so late"
        assert b"disk.2" not in [message.payload for message in await raw(stack, "bridging-disk")]
        disk.unlink()
        disk.symlink_to(tmp_path)
        await until(lambda: correlation_text(b"disk.2") in device.receipted())
        assert bridge.metric("delay_seconds") < 1.0
        assert [message.payload for message in await raw(stack, "bridging-disk")] == [b"disk.1", b"disk.2"]
