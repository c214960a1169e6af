from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from contracts.frames import Coordinates
from contracts.registry import ConsentRecord
from sharing.access_log import RELEASED, UNCONFIRMED, Entry
from sharing.accesses import Access, in_words
from tests.sharing_readings import reading

CONSENT = ConsentRecord(
    consent="0b1f8a52-0000-4000-8000-000000000001", subject="p", app="rhythm", vitals=frozenset({"8867-4"}), granted_at=1
)


def entry(reason: str, offset: int | None) -> Entry:
    made = Entry(RELEASED, reason, CONSENT, Coordinates("agora.vitals.v1", 3, 17), 1_795_000_000_000)
    made.add([reading("8867-4", 60.0, subject="p")], 1_795_000_000_000_000, offset)
    return made


def test_what_may_have_been_released_is_logged_beside_what_surely_was_of_the_same_record() -> None:
    assert entry(UNCONFIRMED, None).once != entry("", 5).once


def test_where_on_the_topic_the_unconfirmed_stands_is_said_to_be_unknown() -> None:
    assert entry("", 5).request == "agora.app.rhythm.v1 offsets 5 to 5"
    assert entry(UNCONFIRMED, None).request == "agora.app.rhythm.v1 offsets unknown"


def test_a_patient_reads_that_an_app_may_have_received_what_was_not_confirmed() -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    access = Access(
        noon, "rhythm", "kafka", RELEASED, UNCONFIRMED, "p", ["8867-4"], noon, noon, 1, "", UUID(CONSENT.consent), 1, "",
    )  # fmt: skip
    assert "rhythm may have received (not confirmed by Kafka) 1 reading (Heart rate) of p on its stream" in in_words(access)
