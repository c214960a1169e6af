"""Which kcat can log in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cli.kcat import in_place_of_its_own, logs_in


@pytest.mark.parametrize(
    ("version", "fit"), [("2.0.2", False), ("2.6.0", False), ("2.6.1", True), ("2.8.0", True), ("2.16.0", True)]
)
def test_a_kcat_on_a_librdkafka_before_2_6_1_cannot_log_in(version: str, fit: bool) -> None:
    assert logs_in(f"Version 1.7.1 (JSON, Transactions, librdkafka {version} builtin.features=gzip,ssl)") is fit


def test_a_checkout_whose_path_has_blanks_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / "a path"
    folder.mkdir()
    library = next(Path("/").glob("lib/*-linux-gnu/libz.so.1"))
    (folder / "libfound.so.1").symlink_to(library)
    line = in_place_of_its_own(folder / "libfound.so.1").removesuffix("kcat") + "grep -c libfound /proc/self/maps"
    said = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert said.stderr == ""


def test_one_that_does_not_tell_its_version_is_left_alone() -> None:
    assert logs_in("")
