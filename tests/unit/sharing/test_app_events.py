from __future__ import annotations

import orjson

from contracts.registry import ConsentRecord
from sharing import cloud_events
from sharing.pseudonyms import AppPseudonyms

APP = AppPseudonyms(bytes(range(32)), "rhythm")
CONSENT = ConsentRecord(
    consent="0b1f8a52-0000-4000-8000-000000000001",
    subject="p-secret",
    app="rhythm",
    vitals=frozenset({"8867-4"}),
    granted_at=1,
    withdrawn_at=1_795_000_000_000_000,
    revision=2,
)

SHOWN = {"id": "an-id", "effectiveDateTime": "2026-11-18T11:06:40.000000Z"}


def test_a_record_carries_the_required_attributes_of_a_cloud_event_and_its_consent() -> None:
    event = cloud_events.observation(SHOWN, CONSENT)
    headers = {name: value.decode() for name, value in event.headers}
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": "an-id",
        "ce_source": "urn:agora:router",
        "ce_type": "agora.observation.released.v1",
        "ce_time": "2026-11-18T11:06:40.000000Z",
        "content-type": "application/fhir+json",
        "ce_consentid": CONSENT.consent,
        "ce_consentrevision": "2",
    }
    assert event.key == b"an-id"
    assert orjson.loads(event.value) == SHOWN


def test_attribute_names_are_as_cloud_events_wants_them() -> None:
    for name, _ in cloud_events.observation(SHOWN, CONSENT).headers:
        assert name == "content-type" or (name.startswith("ce_") and name[3:].isalnum() and name[3:].islower())


def test_a_withdrawal_tells_the_app_to_erase_under_names_of_its_own_and_with_the_same_id_each_time() -> None:
    event = cloud_events.withdrawal(CONSENT, APP)
    body = orjson.loads(event.value)
    assert body["action"] == "erase"
    assert body["patient"] == f"Patient/{APP.subject('p-secret')}"
    assert b"p-secret" not in event.value
    assert cloud_events.header(event.headers, "ce_type") == "agora.consent.withdrawn.v1"
    assert event == cloud_events.withdrawal(CONSENT, APP)
