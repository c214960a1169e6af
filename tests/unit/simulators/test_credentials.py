"""The file of devices."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from contracts.errors import Misconfigured
from simulators.credentials import read_credentials, read_sequences, sequences_beside, write_credentials, write_sequences
from simulators.patients import DeviceCredential

DEVICE = DeviceCredential(org="clinic", device="device-1", model="agora-cuff", password="very-secret", subject="s-1")


def test_what_is_written_is_read_and_only_the_owner_may(tmp_path: Path) -> None:
    path = tmp_path / "devices.json"
    write_credentials(path, [DEVICE])
    assert read_credentials(path) == [DEVICE]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_else_enrolment_noted_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "devices.json"
    path.write_text(json.dumps([{"org": "clinic", "device": "d", "model": "m", "password": "p", "enrolled": "today"}]))
    assert read_credentials(path)[0].subject == ""


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="enrol devices first"):
        read_credentials(tmp_path / "none.json")


def test_a_damaged_file_is_refused_without_showing_a_password(tmp_path: Path) -> None:
    path = tmp_path / "devices.json"
    path.write_text(json.dumps([{"org": "Not A Name", "device": "d", "model": "m", "password": "very-secret"}]))
    with pytest.raises(Misconfigured, match="cannot be read") as refused:
        read_credentials(path)
    assert "very-secret" not in str(refused.value)


def test_a_credential_never_shows_its_password() -> None:
    assert "very-secret" not in repr(DEVICE)


def test_sequences_survive_and_begin_anew_when_the_file_is_damaged(tmp_path: Path) -> None:
    path = sequences_beside(tmp_path / "devices.json")
    assert read_sequences(path) == {}
    write_sequences(path, {DEVICE.key: 18})
    assert read_sequences(path) == {DEVICE.key: 18}
    path.write_text("{")
    assert read_sequences(path) == {}
