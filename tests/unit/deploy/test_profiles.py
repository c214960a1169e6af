"""Which sizes the servers get."""

from dataclasses import asdict

import pytest

from deploy.local import profiles
from deploy.local.problems import Problem

OVERRULED = {profiles.DENIALS_LOGGED: "broker_denials_logged", profiles.FLUSHES: "kafka_flushes"}
EACH = pytest.mark.parametrize("variable", sorted(OVERRULED))


@EACH
def test_a_small_platform_tells_of_forbidden_publishes_and_flushes_and_a_measured_one_does_not(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("AGORA_PROFILE", raising=False)
    assert getattr(profiles.chosen(), OVERRULED[variable]) is True
    monkeypatch.setenv("AGORA_PROFILE", "bench")
    assert getattr(profiles.chosen(), OVERRULED[variable]) is False


@EACH
@pytest.mark.parametrize(("said", "holds"), [("0", False), ("1", True)])
@pytest.mark.parametrize("profile", sorted(profiles.PROFILES))
def test_what_is_said_overrules_the_profile_in_that_alone(
    monkeypatch: pytest.MonkeyPatch, profile: str, variable: str, said: str, holds: bool
) -> None:
    for other in OVERRULED:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv("AGORA_PROFILE", profile)
    monkeypatch.setenv(variable, said)
    expected, field = profiles.PROFILES[profile], OVERRULED[variable]
    assert asdict(profiles.chosen()) == asdict(expected) | {field: holds}


@EACH
def test_another_word_is_refused_with_what_is_expected(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "perhaps")
    with pytest.raises(Problem, match=f"{variable} is 'perhaps'"):
        profiles.chosen()
