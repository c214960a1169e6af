import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from streams.lean import HELD_SECONDS, LeanConsumer, _finish


class Flow(LeanConsumer):
    """A consumer without Kafka: only what waiting needs."""

    def __init__(self) -> None:
        self._stopped, self._crashed = asyncio.Event(), asyncio.Event()
        self.loop = asyncio.get_running_loop()


class Fetching(Flow):
    """One of two partitions is held back; notes for how long the others are waited for."""

    def __init__(self, active: set[str]) -> None:
        super().__init__()
        self.flow_active, self.waits, self.slept = True, list[float](), list[float]()
        self.not_waiting_next_records = asyncio.Event()
        self.app = SimpleNamespace(client_only=False)
        self._buffered_partitions, self._active = {"raw-1"}, active

    def _get_active_partitions(self) -> set[str]:
        return self._active

    async def _getmany(self, active_partitions: set[str], timeout: float) -> dict[str, list[object]]:  # noqa: ASYNC109
        self.waits.append(timeout)
        return {}

    async def sleep(self, n: float) -> None:
        self.slept.append(n)


async def test_while_a_partition_is_held_back_the_others_are_waited_for_a_moment_only() -> None:
    fetching = Fetching({"vitals-1"})
    await fetching._wait_next_records(1.0)
    fetching._buffered_partitions.clear()
    await fetching._wait_next_records(1.0)
    assert fetching.waits == [HELD_SECONDS, 1.0]


async def test_when_all_are_held_back_they_are_looked_at_again_in_a_moment() -> None:
    fetching = Fetching(set())
    assert await fetching._wait_next_records(1.0) == ({}, set())
    assert (fetching.waits, fetching.slept) == ([], [HELD_SECONDS])


async def at_once() -> str:
    return "done"


async def after(event: asyncio.Event) -> str:
    await event.wait()
    await asyncio.sleep(0)
    return "late"


async def test_what_need_not_wait_is_done_without_a_task() -> None:
    flow, never = Flow(), asyncio.Event()
    before = len(asyncio.all_tasks())
    found = await flow.wait_first(at_once(), never.wait())
    assert (found.results, found.stopped, len(asyncio.all_tasks())) == (["done"], False, before)


async def test_what_waits_is_waited_for_to_its_end() -> None:
    flow, never, go = Flow(), asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().call_soon(go.set)
    found = await flow.wait_first(after(go), never.wait())
    assert found.results == ["late"]


async def test_a_stop_ends_the_waiting_and_what_was_begun() -> None:
    flow, never, go = Flow(), asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def begun() -> None:
        try:
            await go.wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    asyncio.get_running_loop().call_soon(flow._stopped.set)
    found = await flow.wait_first(begun(), never.wait())
    for _ in range(3):
        await asyncio.sleep(0)
    assert (found.stopped, ended) == (True, ["cancelled"])


async def test_an_error_is_raised_whether_it_comes_at_once_or_late() -> None:
    flow, never = Flow(), asyncio.Event()

    async def fails(first: bool) -> None:
        if not first:
            await asyncio.sleep(0)
        raise ValueError

    for first in (True, False):
        with pytest.raises(ValueError):  # noqa: PT011
            await flow.wait_first(fails(first), never.wait())


async def test_a_coroutine_goes_on_in_another_task_where_it_stood() -> None:
    go, steps = asyncio.Event(), []

    async def work() -> str:
        steps.append("first")
        await go.wait()
        steps.append("second")
        return "result"

    begun: Any = work()
    awaited = begun.send(None)
    task = asyncio.create_task(_finish(begun, awaited))
    await asyncio.sleep(0)
    go.set()
    assert await task == "result"
    assert steps == ["first", "second"]
