from __future__ import annotations

import pytest

from catalogue.registry import BY_CODE
from sharing.client_secrets import hash_secret, make_secret, secret_matches
from sharing.consents import ConsentRefused, Grant, canonical_vitals, wording


def test_a_panel_stands_for_its_components_and_an_alias_for_its_vital() -> None:
    assert canonical_vitals(["85354-9"]) == ("8462-4", "8478-0", "8480-6")
    assert canonical_vitals(["2708-6", "59408-5"]) == ("59408-5",)


@pytest.mark.parametrize("codes", [[], ["1234-5"], ["8867-4", "heart"]])
def test_a_consent_without_vitals_or_with_one_that_nobody_knows_is_refused(codes: list[str]) -> None:
    with pytest.raises(ConsentRefused):
        canonical_vitals(codes)


def test_the_text_names_every_vital_the_purpose_and_the_seven_days_a_topic_keeps() -> None:
    grant = Grant(
        subject="p-1", app="rhythm", vitals=("8867-4", "59408-5"), purpose="Rhythm study", ends_at=1_795_000_000_000_000
    )
    text = wording("Rhythm watch", "Heart Lab", grant, grant.vitals)
    for words in ("Rhythm watch of Heart Lab", "Rhythm study", "7 days", "until 2026-11-", "withdraw at any time"):
        assert words in text
    for code in grant.vitals:
        assert BY_CODE[code].display in text
    assert "p-1" not in text


def test_an_apps_secret_is_kept_as_a_salted_hash_that_only_it_matches() -> None:
    secret = make_secret()
    kept = hash_secret(secret)
    assert secret not in kept
    assert kept.startswith("$argon2id$")
    assert kept != hash_secret(secret)
    assert secret_matches(secret, kept)
    assert not secret_matches(secret + "x", kept)
