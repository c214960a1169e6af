import os
import stat
from pathlib import Path

from registry import password_file


def test_services_stand_before_devices_and_equal_accounts_give_equal_files() -> None:
    services = "agora-bridge:$7$1\n\nagora-probe:$7$2\n"
    devices = [("b/2", "$7$b"), ("a/1", "$7$a")]
    text = password_file.compose(services, devices)
    assert text == "agora-bridge:$7$1\nagora-probe:$7$2\na/1:$7$a\nb/2:$7$b\n"
    assert text == password_file.compose(services, reversed(devices))


def test_a_write_replaces_the_file_whole_and_lets_only_owner_and_group_read(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text("old")
    held = path.open()
    password_file.write(path, "new\n")
    with held:
        assert held.read() == "old"
    assert path.read_text() == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["passwords"]


def test_a_write_by_somebody_else_changes_the_stamp(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    assert password_file.stamp(path) is None
    before = password_file.write(path, "one\n")
    assert password_file.stamp(path) == before
    password_file.write(path, "two\n")
    assert password_file.stamp(path) != before


def test_a_number_that_belongs_to_another_program_by_now_is_no_broker(tmp_path: Path) -> None:
    path = tmp_path / "broker.pid"
    assert password_file.broker_pid(path) is None
    path.write_text("no number")
    assert password_file.broker_pid(path) is None
    path.write_text(str(os.getpid()))
    assert password_file.broker_pid(path) is None
