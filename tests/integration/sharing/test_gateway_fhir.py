"""Apps ask the real gateway, over TLS, about readings in the real database."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from contracts.instants import HOUR, to_text
from tests.support.gateway_world import NOON, World, bearer, found, outcome, token_of

PRESSURE = "85354-9"


def test_an_app_finds_what_a_patient_shares_with_it_and_the_log_has_it(world: World, client: httpx.Client) -> None:
    subject, app, device = world.subject(), world.app(), world.device()
    consent = world.consent(subject, app, "8867-4")
    world.reading(subject, device, "8867-4", 71.0)
    world.reading(subject, device, "9279-1", 15.0)
    patient = world.pseudonym(app, subject)

    (observation,) = found(client.get("/fhir/Observation", params={"patient": patient}, headers=bearer(token_of(client, app))))

    assert observation["valueQuantity"]["value"] == 71
    assert observation["subject"] == {"reference": f"Patient/{patient}"}
    assert observation["effectiveDateTime"] == to_text(NOON)
    (access,) = world.accesses(app)
    assert (access["outcome"], access["channel"], access["subject"], access["vitals"]) == (
        "released",
        "fhir",
        subject,
        ["8867-4"],
    )
    assert (access["readings"], access["purpose"], access["consent_revision"]) == (1, "to test", 1)
    assert str(access["consent"]) == consent.consent
    assert access["period_start"] == access["period_end"]
    assert access["request"]


def test_nothing_that_names_a_person_or_device_leaves(world: World, client: httpx.Client) -> None:
    subject, app, device = world.subject(), world.app(), world.device()
    world.consent(subject, app, "8867-4")
    world.reading(subject, device, "8867-4", 71.0)
    headers = bearer(token_of(client, app))
    patient = world.pseudonym(app, subject)

    texts = [
        client.get(path, headers=headers).text
        for path in ("/fhir/Patient", f"/fhir/Patient/{patient}", f"/fhir/Observation?patient={patient}")
    ]

    for text in texts:
        assert patient in text
        assert subject not in text
        assert device not in text
        assert world.org not in text


def test_two_apps_know_the_same_reading_under_other_names(world: World, client: httpx.Client) -> None:
    subject, device = world.subject(), world.device()
    world.reading(subject, device, "8867-4", 71.0)
    seen = []
    for app in (world.app(), world.app()):
        world.consent(subject, app, "8867-4")
        headers = bearer(token_of(client, app))
        (patient,) = found(client.get("/fhir/Patient", headers=headers))
        (observation,) = found(client.get("/fhir/Observation", params={"patient": patient["id"]}, headers=headers))
        seen.append({patient["id"], observation["id"], observation["device"]["identifier"]["value"]})

    assert seen[0].isdisjoint(seen[1])


def test_a_patient_without_consent_answers_like_one_that_does_not_exist_and_is_logged(world: World, client: httpx.Client) -> None:
    subject, app = world.subject(), world.app()
    world.reading(subject, world.device(), "8867-4", 71.0)
    headers = bearer(token_of(client, app))
    patient = world.pseudonym(app, subject)
    unknown = "0192f0aa-0000-8000-8000-000000000001"

    answers = [client.get("/fhir/Observation", params={"patient": who}, headers=headers) for who in (patient, unknown, subject)]
    reads = [client.get(f"/fhir/Patient/{who}", headers=headers) for who in (patient, unknown, subject)]

    assert [found(answer) for answer in answers] == [[], [], []]
    bodies = [answer.text.replace(who, "…") for answer, who in zip(answers, (patient, unknown, subject), strict=True)]
    assert bodies[0] == bodies[1] == bodies[2]
    assert [read.status_code for read in reads] == [404, 404, 404]
    assert reads[0].text == reads[1].text == reads[2].text
    assert found(client.get("/fhir/Patient", headers=headers)) == []
    logged = [(access["outcome"], access["reason"], access["subject"]) for access in world.accesses(app)]
    once = [("refused", "no consent", subject), ("refused", "patient unknown", ""), ("refused", "patient unknown", subject)]
    assert logged == once + once


def test_each_record_is_measured_against_history_and_end_of_the_consent(world: World, client: httpx.Client) -> None:
    subject, app, device = world.subject(), world.app(), world.device()
    world.consent(subject, app, "8867-4", history_from=NOON - HOUR, ends_at=NOON + 400 * 24 * HOUR)
    for number, at in enumerate((NOON - HOUR - 1, NOON - HOUR, NOON, NOON + 401 * 24 * HOUR)):
        world.reading(subject, device, "8867-4", 70.0 + number, at)

    observations = found(
        client.get("/fhir/Observation", params={"patient": world.pseudonym(app, subject)}, headers=bearer(token_of(client, app)))
    )

    assert [observation["valueQuantity"]["value"] for observation in observations] == [72, 71]


def test_a_consent_without_history_shows_nothing_from_before_its_grant(world: World, client: httpx.Client) -> None:
    subject, app, device = world.subject(), world.app(), world.device()
    consent = world.consent(subject, app, "8867-4", history_from=None)
    world.reading(subject, device, "8867-4", 70.0, consent.granted_at - 1)
    world.reading(subject, device, "8867-4", 71.0, consent.granted_at)

    observations = found(
        client.get("/fhir/Observation", params={"patient": world.pseudonym(app, subject)}, headers=bearer(token_of(client, app)))
    )

    assert [observation["valueQuantity"]["value"] for observation in observations] == [71]


def test_two_consents_release_a_reading_once_and_are_logged_apart(world: World, client: httpx.Client) -> None:
    subject, app, device = world.subject(), world.app(), world.device()
    first = world.consent(subject, app, "8867-4")
    second = world.consent(subject, app, "8867-4", "9279-1")
    world.reading(subject, device, "8867-4", 71.0)
    world.reading(subject, device, "9279-1", 15.0)

    observations = found(
        client.get("/fhir/Observation", params={"patient": world.pseudonym(app, subject)}, headers=bearer(token_of(client, app)))
    )

    assert len(observations) == 2
    accesses = world.accesses(app)
    assert sum(access["readings"] for access in accesses) == 2
    assert {str(access["consent"]) for access in accesses} <= {first.consent, second.consent}


def test_a_withdrawal_holds_for_the_next_request_of_the_same_token(world: World, client: httpx.Client) -> None:
    subject, app, device = world.subject(), world.app(), world.device()
    consent = world.consent(subject, app, "8867-4")
    world.reading(subject, device, "8867-4", 71.0)
    headers = bearer(token_of(client, app))
    patient = world.pseudonym(app, subject)
    assert len(found(client.get("/fhir/Observation", params={"patient": patient}, headers=headers))) == 1

    world.withdraw(consent)

    assert found(client.get("/fhir/Observation", params={"patient": patient}, headers=headers)) == []
    assert found(client.get("/fhir/Patient", headers=headers)) == []
    assert client.get(f"/fhir/Patient/{patient}", headers=headers).status_code == 404


def test_codes_dates_and_order_choose_what_is_shown(world: World, client: httpx.Client) -> None:
    subject, app, device = world.subject(), world.app(), world.device()
    world.consent(subject, app, "8867-4", "59408-5", PRESSURE)
    for number in range(4):
        world.reading(subject, device, "8867-4", 70.0 + number, NOON + number * HOUR)
    world.reading(subject, device, "59408-5", 97.0, NOON)
    world.reading(subject, device, "8480-6", 121.0, NOON)
    headers = bearer(token_of(client, app))
    patient = world.pseudonym(app, subject)

    def search(**parameters: Any) -> list[dict[str, Any]]:
        return found(client.get("/fhir/Observation", params={"patient": patient} | parameters, headers=headers))

    def values(observations: list[dict[str, Any]]) -> list[float]:
        return [observation["valueQuantity"]["value"] for observation in observations]

    assert values(search(code="8867-4")) == [73, 72, 71, 70]
    assert values(search(code="8867-4", _sort="date")) == [70, 71, 72, 73]
    assert values(search(code="http://loinc.org|2708-6")) == [97]
    assert values(search(code="8867-4", date=["ge2026-11-22T13:00", "lt2026-11-22T15:00:00Z"])) == [72, 71]
    assert values(search(code="8867-4", date="2026-11-22T12:00")) == [70]
    assert len(search(date="2026-11-22")) == 6
    assert search(date="2026-11-23") == []
    (panel,) = search(code=PRESSURE)
    assert panel["code"]["coding"][0]["code"] == PRESSURE
    assert [component["code"]["coding"][0]["code"] for component in panel["component"]] == ["8480-6", "8462-4"]
    assert search(code="8480-6") == [panel]
    assert search(code="no-such") == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("patient=x&_lastUpdated=2026", "not-supported"),
        ("patient=x&code:text=heart", "not-supported"),
        ("patient=x&date=soon", "invalid"),
        ("patient=x&_count=0", "invalid"),
        ("code=8867-4", "invalid"),
        ("patient=x&_format=xml", "not-supported"),
    ],
)
def test_a_search_that_cannot_be_answered_exactly_is_refused_in_words(
    world: World, client: httpx.Client, query: str, code: str
) -> None:
    answer = client.get(f"/fhir/Observation?{query}", headers=bearer(token_of(client, world.app())))

    assert (answer.status_code, outcome(answer)) == (400, code)
    assert len(answer.json()["issue"][0]["diagnostics"]) > 10


def test_a_client_that_reads_xml_only_is_told(world: World, client: httpx.Client) -> None:
    headers = bearer(token_of(client, world.app())) | {"Accept": "application/fhir+xml"}

    assert client.get("/fhir/Patient", headers=headers).status_code == 406


def test_the_endpoint_describes_itself_to_anybody(client: httpx.Client) -> None:
    statement = client.get("/fhir/metadata").json()
    configuration = client.get("/.well-known/smart-configuration").json()

    assert statement["fhirVersion"] == "4.0.1"
    assert {resource["type"] for resource in statement["rest"][0]["resource"]} == {"Observation", "Patient"}
    assert configuration["token_endpoint"].endswith("/oauth/token")
    assert client.get("/fhir/.well-known/smart-configuration").json() == configuration
    assert client.get(configuration["jwks_uri"]).json()["keys"][0]["crv"] == "P-256"


@pytest.mark.parametrize("path", ["/fhir/metadata", "/fhir/Observation", "/healthz", "/nothing", "/api/v1/consents"])
def test_every_answer_carries_a_request_id_and_the_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers

    assert headers["x-request-id"]
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "max-age" in headers["strict-transport-security"]
    assert "server" not in headers


def test_a_reading_is_shown_to_nobody_while_its_subject_had_not_the_device_by_the_loans(
    world: World, client: httpx.Client
) -> None:
    ada, bob, app, device = world.subject(), world.subject(), world.app(), world.device()
    for subject in (ada, bob):
        world.consent(subject, app, "8867-4")
    world.reading(ada, device, "8867-4", 71.0, NOON)
    world.reading(ada, device, "8867-4", 72.0, NOON + HOUR)
    headers = bearer(token_of(client, app))

    def shown(subject: str) -> list[float]:
        answer = client.get("/fhir/Observation", params={"patient": world.pseudonym(app, subject)}, headers=headers)
        return [observation["valueQuantity"]["value"] for observation in found(answer)]

    assert shown(ada) == [72, 71]

    # As a correction makes it that has not been settled, or as a worker stores a reading that does not know of it.
    world.hand_over(device, ada, bob, NOON + HOUR)

    assert (shown(ada), shown(bob)) == ([71], [])
