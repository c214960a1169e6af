"""The keeper on real servers: what the registry says reaches Kafka in order, and the broker in time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from confluent_kafka.admin import AdminClient

from contracts.registry import HEARTBEAT_KEY, Heartbeat, RuleRecord
from contracts.topics import REGISTRY_CONSENTS, REGISTRY_DEVICES, REGISTRY_RULES
from deploy.local.kafka import client as kafka_client
from deploy.local.kafka_access import make_topics
from deploy.local.stack import Stack
from registry import devices, loans, rules
from registry.devices import NewDevice
from registry.outbox import Database
from registry.passwords import hash_for_broker
from runtime import kafka
from tests.support.keeping import (
    ORG,
    Keeper,
    Knocking,
    broker_file,
    database,
    kafka_settings,
    knock,
    read_topic,
    registry_records,
    until,
)

WAIT = 20.0


def settled(connection: Database, *names: str) -> bool:
    return list(devices.wait_settled(connection, names, WAIT))[-1] == 0


def published(connection: Database) -> bool:
    return connection.execute("SELECT count(*) FROM outbox WHERE published_at IS NULL").fetchone() == (0,)


def test_a_new_device_is_let_in_once_kafka_knows_it_and_nobody_else_is(stack: Stack, operator: Database, keeper: Keeper) -> None:
    made = devices.enrol(operator, ORG, "in-1", "agora-oximeter")
    assert settled(operator, made.username)
    confirmed = operator.execute(
        "SELECT o.published_at <= d.broker_settled_at FROM devices d JOIN outbox o ON o.version = %s WHERE d.name = 'in-1'",
        (made.version,),
    ).fetchone()
    assert confirmed == (True,)
    assert knock(stack, made.username, made.password)
    assert not knock(stack, made.username, "wrong")
    assert not knock(stack, f"{ORG}/never", made.password)


def test_a_retired_device_and_an_old_password_are_cut_off_at_once(stack: Stack, operator: Database, keeper: Keeper) -> None:
    made = devices.enrol_many(operator, [NewDevice(ORG, name, "agora-cuff") for name in ("out-1", "out-2", "stay-1")])
    assert settled(operator, *(each.username for each in made))
    clients = [Knocking(stack, each.username, each.password) for each in made]
    assert all(client.let_in for client in clients)
    loans.retire(operator, ORG, "out-1")
    rotated = devices.rotate_password(operator, ORG, "out-2")
    assert clients[0].closed.wait(5)
    assert clients[1].closed.wait(5)
    assert settled(operator, made[0].username, made[1].username)
    assert not knock(stack, made[0].username, made[0].password)
    assert not knock(stack, made[1].username, made[1].password)
    assert knock(stack, rotated.username, rotated.password)
    assert not clients[2].closed.is_set()
    for client in clients:
        client.leave()


def test_a_thousand_devices_are_let_in_together(stack: Stack, operator: Database, keeper: Keeper) -> None:
    made = devices.enrol_many(operator, [NewDevice(ORG, f"many-{number}", "agora-cuff") for number in range(1000)])
    assert settled(operator, *(each.username for each in made))
    text = broker_file(stack).read_text()
    assert all(f"{each.username}:$7$101$" in text for each in made)
    assert text.startswith("agora-bridge:")
    assert knock(stack, made[0].username, made[0].password)
    assert knock(stack, made[999].username, made[999].password)


def test_the_broker_is_told_only_when_an_account_changed(stack: Stack, operator: Database, keeper: Keeper) -> None:
    assert settled(operator, devices.enrol(operator, ORG, "told-1", "agora-cuff").username)
    before = keeper.metric("agora_keeper_credential_reloads_total")
    for number in range(5):
        rules.set_rule(operator, RuleRecord(rule=f"told-{number}", vital="8867-4", low=40 + number))
    until(lambda: published(operator))
    threading.Event().wait(1.5)
    assert keeper.metric("agora_keeper_credential_reloads_total") == before


def test_a_late_write_of_somebody_else_is_put_right(stack: Stack, operator: Database, keeper: Keeper) -> None:
    made = devices.enrol(operator, ORG, "late-1", "agora-cuff")
    assert settled(operator, made.username)
    loans.retire(operator, ORG, "late-1")
    assert settled(operator, made.username)
    right = broker_file(stack).read_text()
    broker_file(stack).write_text(right + f"{made.username}:{hash_for_broker(made.password)}\n")
    until(lambda: broker_file(stack).read_text() == right, 5)
    until(lambda: not knock(stack, made.username, made.password), 5)


async def test_versions_reach_kafka_in_their_order_under_concurrent_writers(
    stack: Stack, operator: Database, keeper: Keeper
) -> None:
    start = len(await read_topic(kafka_settings(stack), REGISTRY_RULES))

    def write(writer: int) -> list[int]:
        with database(stack) as connection:
            return [
                rules.set_rule(connection, RuleRecord(rule=f"order-{writer}-{number % 3}", vital="8867-4", low=30 + number))
                for number in range(25)
            ]

    with ThreadPoolExecutor(6) as pool:
        versions = sorted(version for written in pool.map(write, range(6)) for version in written)
    until(lambda: published(operator))
    records = registry_records(await read_topic(kafka_settings(stack), REGISTRY_RULES))
    seen = [value["version"] for _, value in records if value is not None and value["version"] >= versions[0]]
    assert seen == versions
    assert start > 0


async def test_a_heartbeat_never_stands_above_what_it_vouches_for(stack: Stack, operator: Database, keeper: Keeper) -> None:
    def write(writer: int) -> list[tuple[int, int]]:
        """Give each change's version with an instant of the database's clock at which it was surely committed."""
        committed = []
        with database(stack) as connection:
            for number in range(20):
                version = rules.set_rule(connection, RuleRecord(rule=f"beat-{writer}", vital="8867-4", low=30 + number))
                row = connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").fetchone()
                assert row is not None
                committed.append((version, int(row[0])))
        return committed

    with ThreadPoolExecutor(4) as pool:
        committed = {version: at for changes in pool.map(write, range(4)) for version, at in changes}
    until(lambda: published(operator))
    missing = dict(committed)
    beats = 0
    for record in await read_topic(kafka_settings(stack), REGISTRY_RULES):
        if record.key.decode() == HEARTBEAT_KEY:
            as_of = Heartbeat.model_validate_json(record.value).as_of
            assert not [version for version, at in missing.items() if at <= as_of]
            beats += as_of >= min(committed.values())
        for _, value in registry_records([record]):
            missing.pop(value["version"] if value else 0, None)
    assert missing == {}
    assert beats > 0


async def test_heartbeats_come_on_every_registry_topic_often_enough_for_the_lease(stack: Stack, keeper: Keeper) -> None:
    threading.Event().wait(4)
    for topic in (REGISTRY_CONSENTS, REGISTRY_DEVICES):
        beats = [
            Heartbeat.model_validate_json(record.value).as_of
            for record in await read_topic(kafka_settings(stack), topic)
            if record.key.decode() == HEARTBEAT_KEY
        ][-15:]
        gaps = sorted(later - earlier for earlier, later in pairwise(beats))
        assert beats == sorted(beats)
        assert gaps[len(gaps) // 2] < 300_000


async def test_emptied_topics_are_filled_again_with_the_versions_they_had(
    stack: Stack, operator: Database, keeper: Keeper
) -> None:
    rules.set_rule(operator, RuleRecord(rule="wiped", vital="8867-4", low=33))
    until(lambda: published(operator))
    before = dict(registry_records(await read_topic(kafka_settings(stack), REGISTRY_RULES)))
    admin = AdminClient(kafka_client(stack.settings("operator")))
    for future in admin.delete_topics([REGISTRY_RULES.name, REGISTRY_DEVICES.name]).values():
        future.result(20)
    until(lambda: not {REGISTRY_RULES.name, REGISTRY_DEVICES.name} & set(admin.list_topics(timeout=10).topics))
    make_topics(admin, (REGISTRY_RULES, REGISTRY_DEVICES))
    until(lambda: len(keeper.events("keeper.registry_resynced")) > 1, 40)
    after = dict(registry_records(await read_topic(kafka_settings(stack), REGISTRY_RULES)))
    assert after == {key: value for key, value in before.items() if value is not None}
    assert f"{ORG}/in-1" in dict(registry_records(await read_topic(kafka_settings(stack), REGISTRY_DEVICES)))


async def test_a_table_changed_by_hand_and_a_stray_record_are_put_right_at_the_next_start(
    stack: Stack, operator: Database, tmp_path: Path
) -> None:
    rules.set_rule(operator, RuleRecord(rule="by-hand", vital="8867-4", low=40))
    with database(stack, "owner") as owner:
        owner.execute("""UPDATE rules SET definition = definition || '{"low": 41.0}' WHERE name = 'by-hand'""")
    producer = kafka.producer(kafka_settings(stack))
    await producer.start()
    stray = RuleRecord(rule="stray", vital="8867-4", low=1, version=10**9).model_dump_json().encode()
    await producer.send_and_wait(REGISTRY_RULES.name, stray, key=b"stray", partition=0)
    await producer.stop()
    with Keeper(stack, tmp_path / "again.log") as keeper:
        keeper.wait_leading(30)
        until(lambda: published(operator))
        held = dict(registry_records(await read_topic(kafka_settings(stack), REGISTRY_RULES)))
    assert held["stray"] is None
    by_hand = held["by-hand"]
    assert by_hand is not None
    assert by_hand["low"] == 41.0
    assert by_hand["version"] > 10**9, "Kafka held a later version: the database counts on above it"
