"""Two keepers: one leads, and whatever happens to it, no old truth is told and no second leader writes."""

import asyncio
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from contracts import frames
from contracts.frames import RawFrame, RawMessage
from contracts.mqtt import up_topic
from contracts.registry import HEARTBEAT_KEY, Heartbeat, RuleRecord
from contracts.topics import RAW, REGISTRY_RULES
from deploy.local.stack import Stack
from registry import devices, loans, rules
from registry.outbox import Database
from runtime import kafka
from tests.support.keeping import ORG, Keeper, database, kafka_settings, knock, read_topic, registry_records, until


def set_rule(connection: Database, low: float) -> int:
    return rules.set_rule(connection, RuleRecord(rule="shared", vital="8867-4", low=low))


def is_published(connection: Database, version: int) -> bool:
    row = connection.execute("SELECT published_at IS NOT NULL FROM outbox WHERE version = %s", (version,)).fetchone()
    return row == (True,)


async def rule_records(stack: Stack) -> list[Any]:
    return await read_topic(kafka_settings(stack), REGISTRY_RULES)


def versions(records: list[Any]) -> list[int]:
    return [value["version"] for key, value in registry_records(records) if value is not None and key == "shared"]


def beats(records: list[Any]) -> list[tuple[int, int]]:
    """Give each heartbeat's instant and when it was written, microseconds."""
    return [
        (Heartbeat.model_validate_json(record.value).as_of, record.timestamp * 1000)
        for record in records
        if record.key.decode() == HEARTBEAT_KEY
    ]


async def test_a_standby_takes_over_within_seconds_when_the_leader_is_killed(
    stack: Stack, operator: Database, tmp_path: Path
) -> None:
    with Keeper(stack, tmp_path / "1.log", 1) as first:
        first.wait_leading()
        with Keeper(stack, tmp_path / "2.log", 2) as second:
            until(lambda: second.metric("agora_keeper_leader") == 0)
            first.signal(signal.SIGKILL)
            killed = time.monotonic()
            version = set_rule(operator, 41)
            until(lambda: is_published(operator, version), 15)
            taken = time.monotonic() - killed
            made = devices.enrol(operator, ORG, "after-kill", "agora-cuff")
            assert list(devices.wait_settled(operator, [made.username], 15))[-1] == 0
            assert knock(stack, made.username, made.password)
    assert taken < 5, "a killed leader's lock ends with its socket"
    seen = versions(await rule_records(stack))
    assert version in seen


async def test_a_stopped_leader_is_replaced_and_says_nothing_when_it_wakes_up(
    stack: Stack, operator: Database, tmp_path: Path
) -> None:
    with Keeper(stack, tmp_path / "1.log", 1) as first:
        first.wait_leading()
        with Keeper(stack, tmp_path / "2.log", 2) as second:
            until(lambda: second.metric("agora_keeper_leader") == 0)
            first.signal(signal.SIGSTOP)
            stopped = time.monotonic()
            version = set_rule(operator, 42)
            until(lambda: is_published(operator, version), 20)
            assert time.monotonic() - stopped < 10
            for low in (43, 44):
                version = set_rule(operator, low)
            until(lambda: is_published(operator, version))
            before = len(await rule_records(stack))
            first.signal(signal.SIGCONT)
            until(lambda: first.metric("agora_keeper_leader") == 0)
            await asyncio.sleep(2)
            assert first.alive
            assert second.leads()
            version = set_rule(operator, 45)
            until(lambda: is_published(operator, version))
            records = await rule_records(stack)
            assert first.events("keeper.leadership_lost")
            assert not second.events("keeper.leadership_lost")
    assert versions(records) == sorted(versions(records)), "an old record must never stand behind a newer one"
    woken = beats(records[before:])
    assert woken
    assert all(written - as_of < 2_000_000 for as_of, written in woken), "no heartbeat tells an old truth"
    instants = [as_of for as_of, _ in beats(records)]
    assert instants == sorted(instants)


async def test_a_leader_stopped_in_the_middle_of_writers_loses_and_doubles_nothing(
    stack: Stack, operator: Database, tmp_path: Path
) -> None:
    written: list[int] = []
    with Keeper(stack, tmp_path / "1.log", 1) as first, Keeper(stack, tmp_path / "2.log", 2) as second:
        until(lambda: first.leads() or second.leads(), 20)
        for _ in range(4):
            leader = first if first.leads() else second
            written += [set_rule(operator, 30 + number) for number in range(20)]
            leader.signal(signal.SIGSTOP)
            written += [set_rule(operator, 50 + number) for number in range(20)]
            last = written[-1]
            until(partial(is_published, operator, last), 20)
            leader.signal(signal.SIGCONT)
            other = second if leader is first else first
            until(other.leads, 20)
    records = await rule_records(stack)
    seen = [version for version in versions(records) if version >= written[0]]
    # A leader stopped after Kafka confirmed and before the database noted it: its successor publishes that batch again.
    assert list(dict.fromkeys(seen)) == written
    newest = dict(registry_records(records))["shared"]
    assert newest is not None
    assert newest["version"] == written[-1]


async def test_kafka_away_is_waited_for_and_a_device_is_cut_off_all_the_same(
    stack: Stack, operator: Database, tmp_path: Path
) -> None:
    with Keeper(stack, tmp_path / "1.log") as keeper:
        keeper.wait_leading()
        made = devices.enrol(operator, ORG, "kafka-away", "agora-cuff")
        assert list(devices.wait_settled(operator, [made.username], 15))[-1] == 0
        stack.stop_process("kafka", 30)
        loans.retire(operator, ORG, "kafka-away")
        assert list(devices.wait_settled(operator, [made.username], 15))[-1] == 0, "no Kafka is needed to cut a device off"
        assert not knock(stack, made.username, made.password)
        new = devices.enrol(operator, ORG, "not-yet", "agora-cuff")
        await asyncio.sleep(3)
        assert devices.unsettled(operator, [new.username]) == [new.username], "nobody is let in whom Kafka does not know"
        assert not knock(stack, new.username, new.password)
        assert keeper.alive
        stack.start_server("kafka")
        assert list(devices.wait_settled(operator, [new.username], 40))[-1] == 0
        assert knock(stack, new.username, new.password)


async def test_the_database_away_is_waited_for(stack: Stack, tmp_path: Path) -> None:
    with Keeper(stack, tmp_path / "1.log") as keeper:
        keeper.wait_leading()
        stack.stop_process("postgres", 30)
        until(lambda: keeper.metric("agora_keeper_leader") == 0)
        stack.start_server("postgres")
        keeper.wait_leading(30)
        assert keeper.alive
        with database(stack) as connection:
            version = set_rule(connection, 60)
            until(lambda: is_published(connection, version), 20)


async def test_a_keeper_killed_between_sending_again_and_marking_does_it_once_more(
    stack: Stack, operator: Database, tmp_path: Path
) -> None:
    producer = kafka.producer(kafka_settings(stack))
    await producer.start()
    offsets = []
    for number in range(3):
        body = frames.encode(RawFrame([RawMessage(up_topic(ORG, "raw-2"), b"%d" % number, 1)]))
        offsets.append((await producer.send_and_wait(RAW.name, body, partition=2, headers=frames.headers(1))).offset)
    await producer.stop()
    settings: Any = {"AGORA_KEEPER_HOLE_SECONDS": "1", "AGORA_KEEPER_WATCH_SECONDS": "0.3"}
    with database(stack, "store") as store:
        for offset in (offsets[0], offsets[2]):
            store.execute("INSERT INTO ledger_raw VALUES (2, %s, now(), 1, 0, 1, 0, 0, 1)", (offset,))
    with database(stack, "owner") as owner, owner.transaction():
        owner.execute("LOCK TABLE ledger_raw IN SHARE ROW EXCLUSIVE MODE")  # reads go on, the mark has to wait
        with Keeper(stack, tmp_path / "1.log", **settings) as first:
            until(lambda: bool(first.events("keeper.ledger_hole_resent")), 30)
            first.signal(signal.SIGKILL)
            # The server has not noticed, and would still carry out the statement of the dead once the lock is free.
            owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'agora_keeper'")
    with Keeper(stack, tmp_path / "2.log", **settings):
        until(lambda: _marked(operator, offsets[1]), 30)
    reader = kafka.consumer(kafka_settings(stack), None)
    await reader.start()
    place = TopicPartition(RAW.name, 2)
    reader.assign([place])
    reader.seek(place, offsets[2] + 1)
    again = [record for batch in (await reader.getmany(timeout_ms=5000)).values() for record in batch]
    await reader.stop()
    replays = [frames.decode_raw(record.value).messages[0].replay_of for record in again]
    assert replays == [f"agora.raw.v1/2/{offsets[1]}/0"] * 2, "sent twice, under the name of the same message"


def _marked(connection: Database, offset: int) -> bool:
    row = connection.execute("SELECT resent FROM ledger_raw WHERE raw_partition = 2 AND raw_offset = %s", (offset,)).fetchone()
    return row == (True,)
