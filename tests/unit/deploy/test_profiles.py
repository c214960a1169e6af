"""Which sizes the servers get."""

import pytest

from deploy.local import profiles
from deploy.local.problems import Problem


def test_a_small_platform_tells_of_each_publish_that_was_forbidden_and_a_measured_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(profiles.DENIALS_LOGGED, raising=False)
    monkeypatch.delenv("AGORA_PROFILE", raising=False)
    assert profiles.chosen().broker_denials_logged
    monkeypatch.setenv("AGORA_PROFILE", "bench")
    assert not profiles.chosen().broker_denials_logged


@pytest.mark.parametrize(("said", "logged"), [("0", False), ("1", True)])
@pytest.mark.parametrize("profile", sorted(profiles.PROFILES))
def test_what_is_said_about_forbidden_publishes_overrules_the_profile_in_that_alone(
    monkeypatch: pytest.MonkeyPatch, profile: str, said: str, logged: bool
) -> None:
    monkeypatch.setenv("AGORA_PROFILE", profile)
    monkeypatch.setenv(profiles.DENIALS_LOGGED, said)
    chosen = profiles.chosen()
    assert chosen.broker_denials_logged is logged
    assert chosen.broker_queue_mib == profiles.PROFILES[profile].broker_queue_mib


def test_another_word_about_them_is_refused_with_what_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(profiles.DENIALS_LOGGED, "perhaps")
    with pytest.raises(Problem, match="perhaps"):
        profiles.chosen()
