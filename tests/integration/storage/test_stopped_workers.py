"""A worker stood still with its outputs unsent, and wakes when another one has taken over and a loan was corrected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contracts.instants import SECOND, to_datetime
from deploy.local.stack import Stack
from runtime import clock
from tests.integration.storage.test_second_pass import judged
from tests.support.storing import Bench, Clinic, connected, new_clinic, one, query


def asked_for(clinic: Clinic) -> list[tuple[Any, ...]]:
    """Read which settlements the store asked for: device and span."""
    return query(
        clinic.owner,
        "SELECT d.name, s.starts_at, s.ends_at FROM settlements s JOIN devices d USING (device_key)"
        " WHERE d.org = %s AND s.version = 0 AND s.done_at IS NULL ORDER BY 1",
        clinic.name,
    )


def around(first: int, last: int) -> tuple[object, object]:
    return to_datetime(first), to_datetime(last + 1)


@pytest.mark.parametrize("together", [False, True])
async def test_what_a_stopped_worker_writes_of_readings_that_are_nobodys_by_then_is_settled_again(
    stack: Stack, together: bool
) -> None:
    clinic, bench = new_clinic(stack, "a", "b"), Bench(stack)
    now = clock.now()
    vitals, outcome = bench.frame(clinic, one(70, now), one(71, now + SECOND), one(72, now, "b"))
    by_its_twin, late = judged(outcome, "quarantined"), [vitals, *bench.place(outcome)]
    async with bench.writer() as writer:
        for batch in [[by_its_twin, *late]] if together else [[by_its_twin], late]:
            await writer.write(batch)
    assert clinic.count() == 3
    assert asked_for(clinic) == [("a", *around(now, now + SECOND)), ("b", *around(now, now))]


async def test_so_is_what_it_writes_where_the_other_copy_was_set_aside(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    now = clock.now()
    vitals, outcome = bench.frame(clinic, one(70, now))
    async with bench.writer() as writer:
        await writer.write([vitals, outcome])
        with connected(clinic.owner) as owner:
            owner.execute(
                "DELETE FROM observations o USING devices d WHERE o.device_key = d.device_key AND d.org = %s", (clinic.name,)
            )
            owner.commit()
        await writer.write([replace(vitals, offset=vitals.offset + 1), *bench.place(outcome)])
    assert asked_for(clinic) == [("a", *around(now, now))]


async def test_ordinary_readings_resends_and_duplicates_of_a_second_pass_are_not_settled_again(stack: Stack) -> None:
    clinic, bench = new_clinic(stack, "a"), Bench(stack)
    now = clock.now()
    vitals, outcome = bench.frame(clinic, one(70, now))
    async with bench.writer() as writer:
        await writer.write([vitals, outcome])
        await writer.write(bench.frame(clinic, one(70, now), one(71, now + 1)))
        await writer.write([replace(vitals, offset=vitals.offset + 2), *bench.place(outcome)])
    assert clinic.count() == 2
    assert asked_for(clinic) == []
