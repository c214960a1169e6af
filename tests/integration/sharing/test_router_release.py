"""What apps receive on their topics, through real Kafka, database, keeper and router."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from fhir.resources.R4B.observation import Observation as Resource

from contracts.registry import ConsentRecord
from deploy.local.stack import Stack
from runtime.clock import now
from sharing import accesses, apps, consents
from sharing.fhir.observation import identity
from tests.sharing_platform import Platform, database_settings, ensure_running, eventually, observations_of, opened
from tests.sharing_readings import SECOND, reading

HEART, SATURATION, UPPER, LOWER, PRESSURE = "8867-4", "59408-5", "8480-6", "8462-4", "85354-9"


@pytest.fixture
def platform(stack: Stack) -> Iterator[Platform]:
    ensure_running(stack, "keeper", "router")
    settings = database_settings(stack.settings("operator"))
    with psycopg.connect(settings.conninfo(), autocommit=True) as connection:
        yield Platform(stack, connection)


async def test_an_app_receives_the_consented_readings_as_fhir_and_nothing_of_anybody_else(platform: Platform) -> None:
    consenting, silent = platform.subject("consenting"), platform.subject("silent")
    app = platform.app("rhythm")
    consent = platform.grant(consenting, app, HEART)
    await platform.known()
    async with platform.vitals_producer() as producer:
        for number in range(20):
            for subject in (consenting, silent):
                await platform.publish(producer, [reading(HEART, 60.0 + number, subject=subject, sequence=number)])
    await platform.routed()
    received = await platform.received(app)
    names = platform.pseudonyms(app)
    assert [record.body["valueQuantity"]["value"] for record in received] == [60 + number for number in range(20)]
    assert {record.body["subject"]["reference"] for record in received} == {f"Patient/{names.subject(consenting)}"}
    assert {record.consent for record in received} == {consent.consent}
    assert [record.identifier for record in received] == [record.body["id"] for record in received]
    for record in received:
        Resource.model_validate(record.body)


async def test_components_the_consent_does_not_cover_are_left_out_of_the_panel(platform: Platform) -> None:
    subject = platform.subject("p")
    whole, upper = platform.app("whole"), platform.app("upper")
    platform.grant(subject, whole, PRESSURE)
    platform.grant(subject, upper, UPPER)
    await platform.known()
    async with platform.vitals_producer() as producer:
        await platform.publish(producer, [reading(UPPER, 121.0, subject=subject), reading(LOWER, 79.0, subject=subject)])
    await platform.routed()
    (shown,) = await platform.received(whole)
    assert [part["valueQuantity"]["value"] for part in shown.body["component"]] == [121, 79]
    (shown,) = await platform.received(upper)
    assert [part.get("valueQuantity", {}).get("value") for part in shown.body["component"]] == [121, None]


async def test_two_apps_see_one_reading_under_different_names_that_a_restart_keeps(platform: Platform) -> None:
    subject = platform.subject("p")
    one, other = platform.app("one"), platform.app("other")
    for app in (one, other):
        platform.grant(subject, app, HEART)
    await platform.known()
    async with platform.vitals_producer() as producer:
        await platform.publish(producer, [reading(HEART, 60.0, subject=subject)])
        await platform.routed()
        platform.stack.stop_process("router")
        platform.stack.start_process("router", wait=True)
        await platform.publish(producer, [reading(HEART, 60.0, subject=subject)])
        await platform.routed()
    of_one, of_other = await platform.received(one), await platform.received(other)
    assert len(of_one) == len(of_other) == 2
    assert of_one[0].body == of_one[1].body
    assert of_one[0].identifier != of_other[0].identifier
    assert of_one[0].body["subject"] != of_other[0].body["subject"]
    assert of_one[0].body["device"] != of_other[0].body["device"]


async def test_what_was_released_is_logged_once_a_record_and_what_the_consent_never_covered_is_not(platform: Platform) -> None:
    subject = platform.subject("p")
    app = platform.app("rhythm")
    platform.grant(subject, app, HEART)
    await platform.known()
    async with platform.vitals_producer() as producer:
        mixed = [reading(HEART, 60.0 + n, subject=subject, sequence=n) for n in range(3)]
        await platform.publish(producer, [*mixed, reading(SATURATION, 97.0, subject=subject)])
    await platform.routed()
    assert platform.log(app=app.app) == [("released", "", subject, [HEART], 3)]
    (entry,) = accesses.accesses(platform.connection, app=app.app)
    assert f"{app.app} received 3 readings (Heart rate) of {subject} on its stream" in accesses.in_words(entry)


async def test_only_readings_within_the_consents_period_are_released(platform: Platform) -> None:
    subject = platform.subject("p")
    from_now, from_then = platform.app("from-now"), platform.app("from-then")
    measured = now() - 60 * SECOND
    platform.grant(subject, from_now, HEART, history_from=None)
    platform.grant(subject, from_then, HEART, history_from=measured)
    await platform.known()
    async with platform.vitals_producer() as producer:
        await platform.publish(producer, [reading(HEART, 60.0, subject=subject, at=measured)])
        await platform.publish(producer, [reading(HEART, 61.0, subject=subject, at=measured - 1)])
        await platform.publish(producer, [reading(HEART, 62.0, subject=subject, at=now() + SECOND)])
    await platform.routed()
    assert [record.body["valueQuantity"]["value"] for record in await platform.received(from_now)] == [62]
    assert [record.body["valueQuantity"]["value"] for record in await platform.received(from_then)] == [60, 62]


async def test_a_withdrawal_stops_delivery_tells_the_app_and_leaves_evidence(platform: Platform) -> None:
    subject = platform.subject("p")
    app = platform.app("rhythm")
    consent = platform.grant(subject, app, HEART)
    await platform.known()
    async with platform.vitals_producer() as producer:
        await platform.publish(producer, [reading(HEART, 60.0, subject=subject)])
        await platform.routed()
        withdrawn = consents.withdraw(platform.connection, consent.consent, by="the patient")
        await platform.known()
        await platform.publish(producer, [reading(HEART, 61.0, subject=subject, sequence=8)])
        await platform.routed()
        await _told(platform, withdrawn)
    shown, notice = await platform.received(app)
    assert shown.body["id"] == platform.pseudonyms(app).reading(identity([reading(HEART, 60.0, subject=subject)]))
    assert notice.kind == "agora.consent.withdrawn.v1"
    assert notice.body["patient"] == shown.body["subject"]["reference"]
    assert consents.withdraw(platform.connection, consent.consent, by="the patient") == withdrawn
    evidence = accesses.withdrawal_evidence(platform.connection, consent.consent)
    assert evidence.holds
    assert evidence.last_released_at is not None
    assert evidence.first_withheld_at is not None
    assert evidence.last_released_at < evidence.withdrawn_at < evidence.first_withheld_at
    assert evidence.readings_withheld == 1
    assert evidence.app_told_offset == notice.offset


async def _told(platform: Platform, withdrawn: ConsentRecord) -> None:
    await eventually(lambda: accesses.withdrawal_evidence(platform.connection, withdrawn.consent).app_told_at is not None)


async def test_an_app_reads_its_own_topic_with_its_own_credential_and_no_other_apps(platform: Platform) -> None:
    subject = platform.subject("p")
    app, other = platform.app("own"), platform.app("foreign")
    for each in (app, other):
        platform.grant(subject, each, HEART)
    await platform.known()
    async with platform.vitals_producer() as producer:
        await platform.publish(producer, [reading(HEART, 60.0, subject=subject)])
    await platform.routed()
    consumer = platform.app_consumer(app)
    consumer.subscribe([app.topic])
    async with opened(consumer):
        record = await consumer.getone()
        assert record.topic == app.topic
    consumer = platform.app_consumer(app)
    consumer.subscribe([other.topic])
    with pytest.raises(TopicAuthorizationFailedError):
        async with opened(consumer):
            await consumer.getone()


async def test_a_revoked_app_receives_nothing_more_and_cannot_log_in(platform: Platform) -> None:
    subject = platform.subject("p")
    app = platform.app("rhythm")
    platform.grant(subject, app, HEART)
    await platform.known()
    async with platform.vitals_producer() as producer:
        await platform.publish(producer, [reading(HEART, 60.0, subject=subject)])
        await platform.routed()
        apps.revoke(platform.connection, platform.users, app.app)
        await platform.known()
        await platform.publish(producer, [reading(HEART, 61.0, subject=subject, sequence=8)])
        await platform.routed()
    assert len(observations_of(await platform.received(app))) == 1
    with pytest.raises(KafkaError):
        async with opened(platform.app_consumer(app)):
            pass
    apps.revoke(platform.connection, platform.users, app.app)


async def test_a_rotated_apps_old_password_and_secret_are_gone(platform: Platform) -> None:
    app = platform.app("rhythm")
    renewed = apps.rotate(platform.connection, platform.users, app.app)
    assert renewed.client_id == app.client_id
    assert renewed.client_secret != app.client_secret
    async with opened(platform.app_consumer(renewed)):
        pass
    with pytest.raises(KafkaError):
        async with opened(platform.app_consumer(app)):
            pass
