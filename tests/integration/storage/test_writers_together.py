"""Several writers at once: one of them writes, none waits for ever."""

import asyncio

import pytest
from psycopg import sql

from deploy.local.stack import Stack
from runtime import clock
from storage import rows
from storage.writer import Fenced
from tests.support.storing import Bench, connected, counted, database, new_clinic, one, query

RETRIED = "agora_storage_transactions_retried_total"
LOCKED_OUT = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'agora_store' AND wait_event_type = 'Lock'"
STORE_A_MOMENT_LATER = sql.SQL(
    "INSERT INTO observations ({}) SELECT o.device_time + interval '1 microsecond', {} FROM observations o"
    " JOIN devices d USING (device_key) WHERE d.org = %s AND d.name = %s"
).format(
    sql.SQL(", ").join(map(sql.Identifier, rows.COLUMNS)),
    sql.SQL(", ").join(sql.Identifier("o", name) for name in rows.COLUMNS[1:]),
)


async def test_a_second_writer_is_fenced_and_writes_nothing(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    records = bench.frame(clinic, one(70, clock.now()))
    async with bench.writer() as owner, bench.writer() as zombie:
        await owner.write(records)
        with pytest.raises(Fenced):
            await zombie.write(records)
        await zombie.load(owner.positions)
        await zombie.write(records)  # knows better now, and passes over what was written
        await zombie.write(bench.frame(clinic, one(71, clock.now())))
        with pytest.raises(Fenced):
            await owner.write(bench.frame(clinic, one(72, clock.now())))
    assert [row[4] for row in clinic.rows()] == [70.0, 71.0]


async def test_two_writers_at_the_same_moment_write_once(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    records = bench.frame(clinic, *(one(70, clock.now() + number, sequence=number) for number in range(500)))
    async with bench.writer() as one_writer, bench.writer() as other:
        results = await asyncio.gather(one_writer.write(records), other.write(records), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Fenced", "NoneType"]
    assert clinic.count() == 500
    assert clinic.counts()["stored"] == 500


async def test_writers_of_different_partitions_with_the_same_rows_in_opposite_order_do_not_lock_each_other_out(
    stack: Stack,
) -> None:
    devices = [f"d{number}" for number in range(40)]
    clinic = new_clinic(stack, *devices)
    there, back = Bench(stack), Bench(stack)
    base = clock.now()
    retried = counted(RETRIED)
    async with there.writer() as first, back.writer() as second:
        for turn in range(8):
            messages = [one(70, base + turn, device=device) for device in devices]
            await asyncio.gather(
                first.write(there.frame(clinic, *messages)), second.write(back.frame(clinic, *reversed(messages)))
            )
    # Without the order of the rows the counts would be the same: who was locked out is run again.
    assert counted(RETRIED) == retried
    assert clinic.count() == 320
    counts = clinic.counts()
    assert (counts["received"], counts["stored"], counts["duplicate_store"]) == (640, 320, 320)


async def test_rows_are_locked_in_one_order_whatever_the_order_they_came_in(stack: Stack) -> None:
    devices = [f"d{number}" for number in range(9)]
    clinic = new_clinic(stack, *devices)
    there, back = Bench(stack), Bench(stack)
    base = clock.now()
    messages = [one(70, base + 1, device=device) for device in devices]
    async with there.writer() as first, back.writer() as second:
        await first.write(there.frame(clinic, *(one(70, base, device=device) for device in devices)))
        retried = counted(RETRIED)
        with connected(database(stack, "store")) as other:
            # Somebody is about to store the one in the middle: the two get half of their rows each, and wait for it.
            other.execute(STORE_A_MOMENT_LATER, (clinic.name, devices[len(devices) // 2]))
            writing = asyncio.gather(
                first.write(there.frame(clinic, *messages)), second.write(back.frame(clinic, *reversed(messages)))
            )
            async with asyncio.timeout(8):
                while await asyncio.to_thread(query, clinic.owner, LOCKED_OUT) != [(2,)]:  # noqa: ASYNC110 - it is asked of the database
                    await asyncio.sleep(0.02)
            other.rollback()
        await writing
    assert counted(RETRIED) == retried
    assert clinic.count() == 18


async def test_a_transaction_that_the_database_undoes_is_run_again(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a", "b"), Bench(stack)
    now = clock.now()
    hour = "date_trunc('hour', now())"
    lock = f"UPDATE ledger_devices SET received = received WHERE org = %s AND device = %s AND hour = {hour}"  # noqa: S608
    async with bench.writer() as writer:
        await writer.write(bench.frame(clinic, one(70, now), one(70, now, device="b")))
        with connected(clinic.owner) as other:
            # Somebody locks in the opposite order: the database ends the circle by undoing one of the two.
            other.execute("SET deadlock_timeout = '10s'")
            other.execute(lock, (clinic.name, "b"))
            writing = asyncio.create_task(writer.write(bench.frame(clinic, one(71, now + 1), one(71, now + 1, device="b"))))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(other.execute, lock, (clinic.name, "a"))
            other.commit()
        await asyncio.wait_for(writing, 20)
    assert clinic.count() == 4
    assert clinic.counts()["stored"] == 4
