"""Skipped raw records are found and sent through again; readings in flight follow a correction, too."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer, TopicPartition

from contracts import frames
from contracts.frames import RawFrame, RawMessage
from contracts.instants import HOUR, from_datetime, to_datetime
from contracts.mqtt import up_topic
from contracts.topics import RAW, VITALS
from deploy.local.stack import Stack
from registry import devices, loans
from registry.outbox import Database
from registry.settling import WORKERS
from runtime import kafka
from storage.tables import ASK_TO_SETTLE
from tests.support.keeping import ORG, Keeper, database, kafka_settings, until

T0 = from_datetime(datetime(2026, 11, 1, tzinfo=UTC))


async def producer_of(stack: Stack) -> AIOKafkaProducer:
    producer = kafka.producer(kafka_settings(stack))
    await producer.start()
    return producer


async def write_frames(stack: Stack, partition: int, count: int) -> list[int]:
    producer = await producer_of(stack)
    offsets = []
    for number in range(count):
        body = RawFrame([RawMessage(up_topic(ORG, "raw-1"), b"%d-%d" % (number, index), T0) for index in range(2)])
        sent = await producer.send_and_wait(RAW.name, frames.encode(body), partition=partition, headers=frames.headers(2))
        offsets.append(sent.offset)
    await producer.stop()
    return offsets


def account(stack: Stack, partition: int, offsets: list[int]) -> None:
    with database(stack, "store") as connection:
        for offset in offsets:
            connection.execute("INSERT INTO ledger_raw VALUES (%s, %s, now(), 2, 0, 2, 0, 0, 2)", (partition, offset))


async def raw(stack: Stack, partition: int) -> list[tuple[int, bytes]]:
    reader = kafka.consumer(kafka_settings(stack), None)
    await reader.start()
    place = TopicPartition(RAW.name, partition)
    reader.assign([place])
    await reader.seek_to_beginning(place)
    end = (await reader.end_offsets([place]))[place]
    found = []
    while await reader.position(place) < end:
        found += [(r.offset, r.value) for batch in (await reader.getmany(timeout_ms=200)).values() for r in batch]
    await reader.stop()
    return found


async def eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    await asyncio.to_thread(until, holds, seconds)


def resent(connection: Database, partition: int) -> list[int]:
    rows = connection.execute("SELECT raw_offset FROM ledger_raw WHERE raw_partition = %s AND resent ORDER BY 1", (partition,))
    return [offset for (offset,) in rows]


async def test_a_skipped_record_is_sent_through_again_once_and_marked(stack: Stack, operator: Database, keeper: Keeper) -> None:
    offsets = await write_frames(stack, 5, 4)
    account(stack, 5, [offsets[0], offsets[1], offsets[3]])
    await eventually(lambda: resent(operator, 5) == [offsets[2]])
    found = await raw(stack, 5)
    assert [offset for offset, _ in found] == [*offsets, offsets[3] + 1]
    again = frames.decode_raw(found[-1][1]).messages
    assert [message.payload for message in again] == [b"2-0", b"2-1"]
    assert [message.replay_of for message in again] == [f"agora.raw.v1/5/{offsets[2]}/{index}" for index in range(2)]
    await eventually(lambda: keeper.metric("agora_keeper_ledger_holes_open") == 0)
    mark = operator.execute("SELECT next FROM ledger_marks WHERE raw_partition = 5").fetchone()
    assert mark is not None
    assert mark[0] <= offsets[3] + 1
    assert len(keeper.events("keeper.ledger_hole_found")) == 1


async def test_what_is_in_flight_at_the_end_of_a_partition_is_no_hole(stack: Stack, operator: Database, keeper: Keeper) -> None:
    offsets = await write_frames(stack, 6, 3)
    account(stack, 6, offsets[:1])
    await asyncio.sleep(4)
    assert resent(operator, 6) == []
    assert not keeper.events("keeper.ledger_hole_found")


async def test_a_skipped_record_that_is_no_frame_goes_again_as_it_was(stack: Stack, operator: Database, keeper: Keeper) -> None:
    producer = await producer_of(stack)
    bad = await producer.send_and_wait(RAW.name, b"\xc1 no frame", partition=7, headers=frames.headers(3))
    later = await producer.send_and_wait(RAW.name, frames.encode(RawFrame([])), partition=7, headers=frames.headers(0))
    await producer.stop()
    account(stack, 7, [later.offset])
    await eventually(lambda: resent(operator, 7) == [bad.offset])
    assert (await raw(stack, 7))[-1][1] == b"\xc1 no frame"


def put(connection: Database, subject: str, time: int, device: str = "flight-1") -> None:
    connection.execute(
        "INSERT INTO vitals (code, display, unit) VALUES ('9279-1', 'Respiratory rate', '/min') ON CONFLICT DO NOTHING"
    )
    connection.execute(
        "INSERT INTO observations (device_time, effective_at, received_at, sequence, value, device_key, subject_key, quality,"
        "  vital_key, site_key, profile)"
        " SELECT %(at)s, %(at)s, %(at)s, 0, 16, d.device_key, s.subject_key, 0, v.vital_key, t.site_key, 1"
        " FROM devices d, subjects s, vitals v, sites t"
        " WHERE d.name = %(device)s AND s.name = %(who)s AND v.code = '9279-1' AND t.name = ''",
        {"at": to_datetime(time), "who": subject, "device": device},
    )


async def write_vitals(stack: Stack) -> int:
    producer = await producer_of(stack)
    sent = await producer.send_and_wait(VITALS.name, b"made without knowing of the correction", partition=3)
    await producer.stop()
    return int(sent.offset)


async def commit_raw(stack: Stack) -> None:
    """Be the workers, who have done everything that stands in the raw topic."""
    worker = kafka.consumer(kafka_settings(stack), WORKERS)
    await worker.start()
    partitions = [TopicPartition(RAW.name, number) for number in range(RAW.partitions)]
    worker.assign(partitions)
    await worker.commit(await worker.end_offsets(partitions))
    await worker.stop()


async def test_readings_that_were_in_flight_during_a_correction_follow_it_once_the_workers_and_the_store_have_passed(
    stack: Stack, operator: Database, keeper: Keeper
) -> None:
    devices.enrol(operator, ORG, "flight-1", "agora-respiration-sensor")
    loans.lend(operator, ORG, "flight-1", "anna", T0)
    await write_frames(stack, 4, 1)  # a worker that stands still has it
    [loan] = loans.list_loans(operator, ORG, "flight-1")
    loans.correct(operator, loan.loan_id, "ben", T0, None)

    def whose() -> list[str]:
        rows = operator.execute(
            "SELECT s.name FROM observations o JOIN devices d USING (device_key) JOIN subjects s USING (subject_key)"
            " WHERE d.name = 'flight-1'"
        )
        return [name for (name,) in rows]

    def awaited() -> str:
        """Tell whom the settlement waits for."""
        row = operator.execute(
            "SELECT barrier ? 'raw' FROM settlements WHERE done_at IS NULL ORDER BY settlement_id DESC LIMIT 1"
        ).fetchone()
        return "nobody" if row is None else {None: "the registry", True: "the workers", False: "the store"}[row[0]]

    def store(offset: int, hours: int) -> None:
        """Be the store, which has passed a record made without knowing of the correction."""
        with database(stack, "store") as connection, connection.transaction():
            put(connection, "anna", T0 + hours * HOUR)
            connection.execute(
                "INSERT INTO offsets VALUES (%s, 3, %s) ON CONFLICT (topic, partition) DO UPDATE SET next = excluded.next",
                (VITALS.name, offset + 1),
            )

    await eventually(lambda: awaited() == "the workers")
    store(await write_vitals(stack), hours=1)
    late = await write_vitals(stack)
    await commit_raw(stack)
    await eventually(lambda: awaited() == "the store")
    assert whose() == ["anna"]
    store(late, hours=2)
    await eventually(lambda: whose() == ["ben", "ben"])
    await eventually(lambda: awaited() == "nobody")


async def test_readings_that_a_stopped_worker_brought_after_the_settlement_are_set_aside_once_the_store_asks(
    stack: Stack, operator: Database, keeper: Keeper
) -> None:
    devices.enrol(operator, ORG, "late-1", "agora-respiration-sensor")
    loans.lend(operator, ORG, "late-1", "anna", T0)
    [loan] = loans.list_loans(operator, ORG, "late-1")
    loans.remove(operator, loan.loan_id)
    with database(stack, "store") as connection, connection.transaction():
        put(connection, "anna", T0 + HOUR, "late-1")
        connection.execute(ASK_TO_SETTLE, [[ORG], ["late-1"], [to_datetime(T0 + HOUR)], [to_datetime(T0 + HOUR + 1)]])
    await commit_raw(stack)

    def settled() -> bool:
        row = operator.execute(
            "SELECT set_aside FROM settlements s JOIN devices d USING (device_key)"
            " WHERE d.name = 'late-1' AND s.version = 0 AND done_at IS NOT NULL"
        ).fetchone()
        return row == (1,)

    await eventually(settled)
