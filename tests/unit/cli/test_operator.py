"""What an operator's command says where nothing runs."""

from __future__ import annotations

import pytest

from cli.operator import ELSEWHERE, adopt_settings
from contracts.errors import Misconfigured


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGORA_INSTANCE", "nobody-started-this")
    monkeypatch.setenv("AGORA_PORT_BASE", "29900")
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)


def test_an_operators_command_says_how_to_start_what_does_not_run() -> None:
    with pytest.raises(Misconfigured, match=r"^Agora does not run here \(instance 'nobody-.*'\). Start it: ./agora up$"):
        adopt_settings("org")


def test_a_command_that_needs_no_platform_is_not_stopped() -> None:
    adopt_settings("doctor")


def test_a_platform_elsewhere_is_not_looked_for_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGORA_DATABASE_HOST", "db.example")
    adopt_settings("org")
