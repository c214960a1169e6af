"""Servers with small disks of their own, real file systems: each is filled in turn until the bridge has to refuse."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from contracts.down import correlation_text
from deploy.local.accounts import make_instance_folders, make_state_folder, remove_instance, server_account
from deploy.local.instance import SERVERS, Instance
from deploy.local.stack import Stack
from tests.support.bridging import BridgeProcess, Device, enrol, raw, until

BESIDE = 200
"""How far the ports of these tests' own instance are from the shared one's."""
DISK_MIB, LEAST_MIB = 384, 64
MIB = 1024 * 1024


def mount(folder: Path, size: str) -> bool:
    """Put a file system into a folder; says whether that is allowed here."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def unmount(folder: Path) -> None:
    """Take it away again, with all that is in it."""
    subprocess.run(["umount", str(folder)], check=True)


def may_mount() -> bool:
    """Try whether this account may mount at all."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        allowed = mount(Path(folder), "64k")
        if allowed:
            unmount(Path(folder))
        return allowed


pytestmark = pytest.mark.skipif(not may_mount(), reason="mounting small disks is not allowed to this account on this machine")


@pytest.fixture(scope="module")
def small_disks() -> Iterator[Stack]:
    """Servers, started for the first time on a disk each."""
    base = int(os.environ.get("AGORA_PORT_BASE", "22000")) + BESIDE
    instance = Instance.of(f"{os.environ.get('AGORA_INSTANCE', 'test')}-disks", base)
    make_state_folder(instance)
    make_instance_folders(instance, server_account(instance))
    with ExitStack() as after:
        after.callback(remove_instance, instance)
        for server in SERVERS:
            folder = instance.server_data(server)
            folder.mkdir()
            assert mount(folder, f"{DISK_MIB}m")
            after.callback(unmount, folder)
        stack = after.enter_context(Stack(instance))
        stack.start_servers()
        yield stack


def fill(folder: Path) -> Path:
    """Leave half of what must be free; give the file that takes the room."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - LEAST_MIB * MIB // 2)
    return ballast


@pytest.mark.parametrize("server", SERVERS)
async def test_a_small_disk_that_fills_stops_the_entrance_before_its_server_and_everything_goes_on_with_room(
    server: str, small_disks: Stack
) -> None:
    org, folder = f"small-{server}", small_disks.instance.server_data(server)
    enrol(small_disks, [f"{org}/d-1"])
    async with Device(small_disks, f"{org}/d-1") as device, BridgeProcess(small_disks, disk_least_mib=LEAST_MIB) as bridge:
        device.send(b"disk.1", correlation=b"disk.1")
        await until(lambda: correlation_text(b"disk.1") in device.receipted())
        ballast = fill(folder)
        await until(lambda: bridge.metric("disk_low_total") == 1)
        assert [line["folders"] for line in bridge.told("ingest.disk_low")] == [[str(folder)]]
        device.send(b"disk.2", correlation=b"disk.2")
        await until(lambda: len(device.acknowledged) >= 2)  # the broker keeps it
        await until(lambda: bridge.metric("delay_seconds") > 2.0)
        assert b"disk.2" not in [message.payload for message in await raw(small_disks, org)]
        assert all(small_disks.answers(name) for name in SERVERS)
        ballast.unlink()
        await until(lambda: correlation_text(b"disk.2") in device.receipted())
        assert [message.payload for message in await raw(small_disks, org)] == [b"disk.1", b"disk.2"]
