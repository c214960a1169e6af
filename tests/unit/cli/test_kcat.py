"""Which kcat can log in."""

from __future__ import annotations

import pytest

from cli.kcat import logs_in


@pytest.mark.parametrize(
    ("version", "fit"), [("2.0.2", False), ("2.6.0", False), ("2.6.1", True), ("2.8.0", True), ("2.16.0", True)]
)
def test_a_kcat_on_a_librdkafka_before_2_6_1_cannot_log_in(version: str, fit: bool) -> None:
    assert logs_in(f"Version 1.7.1 (JSON, Transactions, librdkafka {version} builtin.features=gzip,ssl)") is fit


def test_one_that_does_not_tell_its_version_is_left_alone() -> None:
    assert logs_in("")
