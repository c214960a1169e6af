"""Who gets in where: each server lets in whom it should, for what they should, and nobody else."""

from __future__ import annotations

import gc
import os
import stat
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AclOperation, AdminClient, NewTopic, ResourceType

from contracts.topics import LEDGER, RAW, TOPICS, VITALS, Principal
from deploy.local import credentials, kafka, kafka_access, postgres
from deploy.local.instance import PROCESSES, SERVERS
from deploy.local.provisioning import provision_kafka
from deploy.local.stack import Stack
from tests.support.listening import ears

SECONDS = 15


def kafka_client(stack: Stack, name: str, **more: str | int) -> dict[str, Any]:
    return kafka.client(stack.settings(name)) | more


def produce(settings: dict[str, Any], topic: str) -> str:
    """Send one record; gives the error's name, empty when it was taken."""
    told: list[str] = []
    producer = Producer({"message.timeout.ms": SECONDS * 1000} | settings)
    producer.produce(topic, b"x", b"key", on_delivery=lambda error, _message: told.append(error.name() if error else ""))
    producer.flush(SECONDS)
    return told[0]


def test_every_topic_of_the_contract_is_there_with_its_partitions(stack: Stack) -> None:
    found = AdminClient(kafka_client(stack, "operator")).list_topics(timeout=SECONDS).topics
    assert {topic.name: topic.partitions for topic in TOPICS}.items() <= {
        name: len(topic.partitions) for name, topic in found.items()
    }.items()


def test_kafka_lets_nobody_in_without_a_password(stack: Stack) -> None:
    settings = {"bootstrap.servers": f"127.0.0.1:{stack.instance.ports.kafka_internal}", "log_level": 0}
    with pytest.raises(KafkaException):
        AdminClient(settings).list_topics(timeout=3)


def test_kafka_lets_nobody_in_with_another_ones_password(stack: Stack) -> None:
    wrong = kafka_client(stack, "store") | {"sasl.username": "operator"}
    with pytest.raises(KafkaException):
        AdminClient(wrong).list_topics(timeout=3)


def test_a_process_writes_its_own_topics_and_no_others(stack: Stack) -> None:
    bridge = kafka_client(stack, "bridge")
    assert produce(bridge, RAW.name) == ""
    assert produce(bridge, VITALS.name) == "TOPIC_AUTHORIZATION_FAILED"


def test_a_process_reads_its_own_topics_with_its_own_groups_and_no_others(stack: Stack) -> None:
    assert first_error(stack, "store", LEDGER.name, "agora-store") == ""
    assert first_error(stack, "bridge", LEDGER.name, "agora-bridge") == "TOPIC_AUTHORIZATION_FAILED"
    assert first_error(stack, "store", LEDGER.name, "agora-router") == "GROUP_AUTHORIZATION_FAILED"


def first_error(stack: Stack, name: str, topic: str, group: str) -> str:
    """Subscribe; gives the first error's name, empty when partitions were assigned instead."""
    assigned = threading.Event()
    consumer = Consumer(kafka_client(stack, name, **{"group.id": group, "auto.offset.reset": "earliest"}))
    consumer.subscribe([topic], on_assign=lambda *_: assigned.set())
    try:
        for _ in range(SECONDS * 5):
            message = consumer.poll(0.2)
            if message is not None and message.error():
                return str(message.error().name())
            if assigned.is_set():
                return ""
    finally:
        consumer.close()
    raise AssertionError("neither an answer nor an assignment")


def test_a_topic_that_nobody_made_does_not_come_into_being(stack: Stack) -> None:
    operator = kafka_client(stack, "operator", **{"allow.auto.create.topics": "true"})
    assert produce(operator | {"message.timeout.ms": 2000}, "agora.nothing.v1") != ""
    assert "agora.nothing.v1" not in AdminClient(operator).list_topics(timeout=SECONDS).topics


def test_no_process_but_the_keeper_may_administrate(stack: Stack) -> None:
    router = AdminClient(kafka_client(stack, "router"))
    with pytest.raises(KafkaException, match="AUTHORIZATION_FAILED"):
        router.create_topics([NewTopic("agora.app.mine.v1", 1, 1)])["agora.app.mine.v1"].result(SECONDS)


def test_apps_reach_kafka_over_tls_that_the_local_authority_vouches_for(stack: Stack) -> None:
    authority = str(stack.instance.certificates / "ca.pem")
    settings = kafka_client(stack, "store") | {
        "bootstrap.servers": f"localhost:{stack.instance.ports.kafka_apps}",
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": authority,
    }
    brokers = AdminClient(settings).list_topics(timeout=SECONDS).brokers
    assert [(broker.host, broker.port) for broker in brokers.values()] == [("localhost", stack.instance.ports.kafka_apps)]
    del settings["ssl.ca.location"]
    with pytest.raises(KafkaException):
        AdminClient(settings).list_topics(timeout=3)


def test_a_right_too_many_is_taken_away_at_the_next_start(stack: Stack) -> None:
    admin = AdminClient(kafka_client(stack, "operator"))
    extra = kafka_access._right(Principal.BRIDGE, ResourceType.TOPIC, VITALS.name, AclOperation.WRITE)
    admin.create_acls([extra])[extra].result(SECONDS)
    kafka_access.provision(admin, credentials.load_or_make(stack.instance).kafka)
    whose = kafka_access._exactly(extra)
    assert admin.describe_acls(whose).result(SECONDS) == []


def test_the_start_leaves_no_administrator_behind_whose_end_the_garbage_collector_would_wait_for(stack: Stack) -> None:
    def administrators() -> int:
        return sum(isinstance(one, AdminClient) for one in gc.get_objects())

    before = administrators()
    provision_kafka(stack.settings("operator"), credentials.load_or_make(stack.instance))
    assert administrators() <= before


def test_each_role_gets_into_the_database_with_its_own_password_only(stack: Stack) -> None:
    for name in ("store", "router", "gateway", "keeper", "operator"):
        with postgres.connect(stack.settings(name)) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (f"agora_{name}",)
    wrong = stack.settings("store") | {"AGORA_DATABASE_USER": "agora_owner"}
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        postgres.connect(wrong)
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        postgres.connect(stack.settings("owner") | {"AGORA_DATABASE_PASSWORD": ""})


def test_nothing_listens_beyond_this_machine(stack: Stack) -> None:
    stack.start_processes()
    try:
        for name in PROCESSES:
            stack.wait_process(name)
        stack_ports = set(stack.instance.ports.named().values())
        found = ears(stack.pid(name) for name in (*SERVERS, *PROCESSES))
    finally:
        for name in PROCESSES:
            stack.stop_process(name)
    assert stack_ports <= {ear.port for ear in found}
    assert not [ear for ear in found if ear.beyond]


def test_no_secret_stands_in_the_list_of_processes(stack: Stack) -> None:
    secrets = credentials.load_or_make(stack.instance)
    every = [*secrets.kafka.values(), *secrets.database.values(), *secrets.mqtt.values()]
    for name in ("postgres", "kafka", "mosquitto"):
        line = Path(f"/proc/{stack.pid(name)}/cmdline").read_text()
        assert not any(secret in line for secret in every)


def test_servers_never_run_as_root_and_keep_their_data_to_themselves(stack: Stack) -> None:
    for name in ("postgres", "kafka", "mosquitto"):
        folder = stack.instance.data / name
        assert Path(f"/proc/{stack.pid(name)}").stat().st_uid == folder.stat().st_uid != 0 or os.geteuid() != 0
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
