"""Who comes late: a writer whose transaction was ended under it, and a resend after clock or loan were corrected."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from msgspec.structs import replace as replace_struct

from contracts import frames
from contracts.errors import Unavailable
from contracts.instants import MINUTE, to_datetime
from contracts.observation import VitalsFrame, decode_vitals
from contracts.topics import VITALS
from deploy.local.stack import Stack
from runtime import clock
from storage.writer import Fenced
from tests.support.storing import Bench, Clinic, Record, connected, counted, new_clinic, one, query

RETRIED, ENDED = "agora_storage_transactions_retried_total", "agora_storage_holders_ended_total"
WAITING = (
    "SELECT pid FROM pg_stat_activity WHERE usename = 'agora_store' AND wait_event_type = 'Lock'"
    " AND %s = ANY(pg_blocking_pids(pid))"
)


async def waiting_for(clinic: Clinic, pid: int) -> int:
    """Give the writer that waits for somebody's lock, once one does."""
    async with asyncio.timeout(20):
        while True:
            found = await asyncio.to_thread(query, clinic.owner, WAITING, pid)
            if found:
                return int(found[0][0])
            await asyncio.sleep(0.02)


async def test_a_writer_ended_in_its_transaction_after_its_heir_came_commits_nothing(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    now = clock.now()
    async with bench.writer() as stopped:
        await stopped.write(bench.frame(clinic, one(70, now)))
        records = bench.frame(clinic, one(71, now + 1))
        async with bench.writer() as heir:
            with connected(clinic.owner) as other:
                other.execute("UPDATE ledger_devices SET received = received WHERE org = %s", (clinic.name,))
                writing = asyncio.create_task(stopped.write(records))  # past the fence, its rows written, not committed
                owner = await waiting_for(clinic, other.info.backend_pid)
                taking = asyncio.create_task(heir.write(records))
                await waiting_for(clinic, owner)  # at the fence
                query(clinic.owner, "SELECT pg_terminate_backend(%s)", owner)  # as the database does with one that stands still
                with pytest.raises(Unavailable):
                    await writing
                other.commit()
                await asyncio.wait_for(taking, 20)
        await stopped.load(stopped.positions)
        await stopped.write(records)  # knows better now, and passes over what was written
    assert clinic.count() == 2
    assert clinic.counts()["stored"] == 2


async def test_a_writer_that_the_database_keeps_waiting_is_not_ended_by_one_that_wants_its_place(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    now = clock.now()
    async with bench.writer() as slow, bench.writer(lock_seconds=0.3) as eager:
        await slow.write(bench.frame(clinic, one(70, now)))
        await eager.load(slow.positions)
        records = bench.frame(clinic, one(71, now + 1))
        with connected(clinic.owner) as other:
            other.execute("UPDATE ledger_devices SET received = received WHERE org = %s", (clinic.name,))
            writing = asyncio.create_task(slow.write(records))  # past the fence
            await waiting_for(clinic, other.info.backend_pid)
            retried, ended = counted(RETRIED), counted(ENDED)
            taking = asyncio.create_task(eager.write(records))
            async with asyncio.timeout(20):
                while counted(RETRIED) < retried + 3:  # noqa: ASYNC110 - a metric sets no event
                    await asyncio.sleep(0.05)
            other.commit()
        await writing
        with pytest.raises(Fenced):
            await taking
    assert counted(ENDED) == ended
    assert clinic.counts()["stored"] == 2


async def test_a_resend_after_clock_and_loan_were_corrected_is_a_duplicate_and_moves_nothing(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a", "b"), Bench(stack)
    now = clock.now()

    def corrected(record: Record) -> Record:
        """Give the same reading as the normaliser makes it with another clock correction and another loan."""
        if record.topic != VITALS.name:
            return record
        moved = [
            replace_struct(found, effective_at=found.effective_at - MINUTE, subject=clinic.subject("b"))
            for found in decode_vitals(record.value or b"").observations
        ]
        return replace(record, value=frames.encode(VitalsFrame(moved)))

    async with bench.writer() as writer:
        await writer.write(bench.frame(clinic, one(70, now)))
        await writer.write([corrected(record) for record in bench.frame(clinic, one(70, now))])
    rows = query(clinic.owner, "SELECT subject, effective_at FROM readings WHERE device = %s", f"{clinic.name}/a")
    assert rows == [(clinic.subject("a"), to_datetime(now))]
    assert (clinic.counts()["stored"], clinic.counts()["duplicate_store"]) == (1, 1)
    assert clinic.quarantine() == []
