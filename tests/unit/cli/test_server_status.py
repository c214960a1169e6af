from pathlib import Path

from cli.server_status import room
from runtime.disks import Disk

GIB = 1024**3


def test_only_the_disks_that_are_nearly_full_are_told_with_the_servers_on_them() -> None:
    disks = [Disk((Path("/data/postgres"), Path("/data/mosquitto")), GIB // 2), Disk((Path("/big/kafka"),), 90 * GIB)]
    assert [line.plain for line in room(disks)] == [
        "Only 0.5 GiB are free on the disk of postgres, mosquitto (/data/postgres): make room. "
        "Below 1 GiB nothing more is let in."
    ]
