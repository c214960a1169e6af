from pathlib import Path

from runtime.disks import look

OTHER_DISK = Path("/proc")
"""A file system of its own, of which no byte is ever free."""


def test_folders_on_one_file_system_are_looked_at_once(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    beside.mkdir()
    disks, unknown = look([tmp_path, OTHER_DISK, beside])
    assert [disk.folders for disk in disks] == [(tmp_path, beside), (OTHER_DISK,)]
    assert disks[0].free > 0
    assert disks[1].free == 0
    assert unknown == {}


def test_a_folder_that_is_missing_is_told_and_hides_no_other(tmp_path: Path) -> None:
    disks, unknown = look([tmp_path / "missing", tmp_path])
    assert [disk.folders for disk in disks] == [(tmp_path,)]
    assert unknown == {tmp_path / "missing": "FileNotFoundError"}


def test_a_folder_that_is_closed_to_us_can_be_looked_at(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    assert [disk.folders for disk in look([closed])[0]] == [(closed,)]
