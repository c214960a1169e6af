"""What `agora test` keeps away from the tests."""

from __future__ import annotations

import pytest

from cli.test_commands import surroundings


@pytest.mark.parametrize(("named", "used"), [("main", "main-test"), ("test", "test"), ("x" * 32, "x" * 27 + "-test")])
def test_the_tests_never_get_the_instance_that_is_named_for_they_empty_theirs(named: str, used: str) -> None:
    assert surroundings({"AGORA_INSTANCE": named})["AGORA_INSTANCE"] == used


def test_settings_of_a_running_instance_stay_away_from_the_tests() -> None:
    given = {"AGORA_DATABASE_PASSWORD": "secret", "AGORA_PORT_BASE": "24000", "PATH": "/bin"}
    assert surroundings(given) == {"AGORA_PORT_BASE": "24000", "PATH": "/bin"}
