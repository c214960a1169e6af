from __future__ import annotations

from uuid import UUID

import pytest

from contracts.errors import Misconfigured
from sharing.pseudonyms import AppPseudonyms, master_of

MASTER = bytes(range(32))


def test_two_apps_know_the_same_subject_device_and_reading_by_different_names() -> None:
    one, other = AppPseudonyms(MASTER, "one"), AppPseudonyms(MASTER, "other")
    assert one.subject("p-1") != other.subject("p-1")
    assert one.device("clinic", "ox-1") != other.device("clinic", "ox-1")
    assert one.reading(b"r" * 16) != other.reading(b"r" * 16)
    assert one.consent_notice("c", 2) != other.consent_notice("c", 2)


def test_a_name_is_stable_over_instances_and_changes_with_epoch_and_master() -> None:
    name = AppPseudonyms(MASTER, "one").subject("p-1")
    assert name == AppPseudonyms(MASTER, "one", epoch=1).subject("p-1")
    assert name != AppPseudonyms(MASTER, "one", epoch=2).subject("p-1")
    assert name != AppPseudonyms(bytes(32), "one").subject("p-1")


def test_a_name_is_pinned_since_apps_keep_it_for_years() -> None:
    assert AppPseudonyms(MASTER, "rhythm").subject("p-001") == "eb231a1c-8fe4-8e00-a2cd-9155bb6bfdd4"


def test_a_subject_and_a_device_of_equal_inner_names_have_different_pseudonyms() -> None:
    app = AppPseudonyms(MASTER, "one")
    assert len({app.subject("a/b"), app.device("a", "b"), app.reading(b"a/b")}) == 3


def test_a_pseudonym_is_a_uuid_of_version_8_and_so_a_fhir_id() -> None:
    made = UUID(AppPseudonyms(MASTER, "one").subject("p-1"))
    assert made.variant == "specified in RFC 4122"
    assert str(made)[14] == "8"


@pytest.mark.parametrize("text", ["", "zz" * 32, "ab" * 31])
def test_a_master_that_is_no_hexadecimal_or_short_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        master_of(text)
    assert not text or text not in str(refused.value)
    assert "AGORA_PSEUDONYM_MASTER" in str(refused.value)
