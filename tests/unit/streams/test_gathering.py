from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

from contracts.frames import Origin, origins_of
from contracts.observation import Observation
from contracts.outcomes import RawOutcome
from contracts.topics import LEDGER, VITALS
from streams.acknowledger import Row
from streams.gathering import MOST_READINGS, MOST_WAITS, Gathered, Gathering
from streams.normalise import Result
from streams.outputs import Output, Outputs


class Sink:
    """Takes outputs as ``Outputs`` does, confirms when told to, and can make the sender wait."""

    def __init__(self) -> None:
        self.written: list[list[Output]] = []
        self.confirmations: list[Callable[[], None]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def send(self, outputs: Sequence[Output], then: Callable[[], None]) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.written.append(list(outputs))
        self.confirmations.append(then)


def observation(message: int = 0) -> Observation:
    return Observation(bytes(16), "o", "d", "anna", "8867-4", "", 60.0, "/min", 1, 1, 1, 0, message=message)


def result(partition: int, offset: int, readings: int = 1, vitals_partition: int = 5) -> Result:
    made = [observation(number) for number in range(readings)]
    return Result(RawOutcome(partition, offset, 0, []), {vitals_partition: made}, {vitals_partition: readings})


class Desk:
    """A gathering with its sink, and what was confirmed."""

    def __init__(
        self, wait_seconds: float = 0.001, most: int = 64, rest: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.sink = Sink()
        self.failures: list[BaseException] = []
        self.confirmed: list[str] = []
        self.gathering = Gathering(cast(Outputs, self.sink), wait_seconds, most, self.failures.append, rest)

    async def add(self, one: Result, row: Row | None = None) -> None:
        name = f"{one.outcome.partition}/{one.outcome.offset}"
        await self.gathering.add(Gathered(one, Row(0) if row is None else row, lambda: self.confirmed.append(name)))

    async def until(self, there: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not there():  # noqa: ASYNC110 - what is waited for is no event of ours
                await asyncio.sleep(0.001)

    def origins(self) -> list[list[Origin]]:
        return [origins_of(one.headers) for some in self.sink.written for one in some if one.topic == VITALS.name]


async def test_what_comes_together_is_one_record_of_vitals_and_a_ledger_row_each() -> None:
    desk = Desk()
    for offset in range(3):
        await desk.add(result(offset % 2, offset, readings=2))
    await desk.until(lambda: desk.sink.written)
    assert desk.origins() == [[Origin(0, 0, 2, 2), Origin(1, 1, 2, 2), Origin(0, 2, 2, 2)]]
    assert [one.topic for one in desk.sink.written[0]].count(LEDGER.name) == 3
    assert desk.confirmed == []
    desk.sink.confirmations[0]()
    assert desk.confirmed == ["0/0", "1/1", "0/2"]


class Rests:
    """Rests that end when told to."""

    def __init__(self) -> None:
        self.begun: list[asyncio.Future[None]] = []

    async def __call__(self, seconds: float) -> None:
        self.begun.append(asyncio.get_running_loop().create_future())
        await self.begun[-1]

    def reached(self, rests: int) -> bool:
        return len(self.begun) == rests


async def test_while_more_comes_it_is_waited_for() -> None:
    rests = Rests()
    desk = Desk(rest=rests)
    await desk.add(result(0, 0))
    await desk.until(lambda: len(rests.begun) == 1)
    await desk.add(result(1, 0))
    rests.begun[0].set_result(None)
    await desk.until(lambda: len(rests.begun) == 2)
    assert desk.sink.written == []
    rests.begun[1].set_result(None)
    await desk.until(lambda: desk.sink.written)
    assert desk.origins() == [[Origin(0, 0, 1, 1), Origin(1, 0, 1, 1)]]


async def test_what_comes_without_end_does_not_keep_the_first_waiting() -> None:
    rests = Rests()
    desk = Desk(rest=rests)
    for number in range(MOST_WAITS):
        await desk.add(result(0, number))
        await desk.until(partial(rests.reached, number + 1))
        await desk.add(result(1, number))
        rests.begun[number].set_result(None)
    await desk.until(lambda: desk.sink.written)
    assert [len(some) for some in desk.origins()] == [2 * MOST_WAITS]


async def test_no_more_readings_than_a_record_can_hold_are_written_together() -> None:
    desk = Desk()
    for offset in range(3):
        await desk.add(result(0, offset, readings=MOST_READINGS // 2))
    await desk.until(lambda: len(desk.sink.written) == 2)
    assert [len(found) for found in desk.origins()] == [2, 1]


async def test_as_many_as_can_be_under_way_at_once_wait_for_nobody() -> None:
    desk = Desk(wait_seconds=3600, most=2)
    for offset in range(4):
        await desk.add(result(0, offset))
    assert [[origin.offset for origin in found] for found in desk.origins()] == [[0, 1], [2, 3]]


async def test_what_was_taken_away_meanwhile_is_not_written() -> None:
    desk, gone = Desk(), Row(0)
    await desk.add(result(0, 1), gone)
    await desk.add(result(1, 1))
    gone.drop()
    await desk.until(lambda: desk.sink.written)
    assert desk.origins() == [[Origin(1, 1, 1, 1)]]


async def test_what_comes_while_kafka_is_behind_is_written_afterwards_in_its_order() -> None:
    desk = Desk()
    desk.sink.open.clear()
    await desk.add(result(0, 0))
    await asyncio.sleep(0.01)  # the first is being written by now, and waits; the order must hold also if it is not
    for offset in (1, 2, 3):
        await desk.add(result(0, offset))
    desk.sink.open.set()
    await desk.until(lambda: sum(map(len, desk.origins())) == 4)
    assert [origin.offset for found in desk.origins() for origin in found] == [0, 1, 2, 3]


async def test_an_output_that_can_never_be_written_is_told() -> None:
    desk = Desk()
    desk.sink.error = ValueError("too large")
    await desk.add(result(0, 0))
    await desk.until(lambda: desk.failures)
    assert desk.failures == [desk.sink.error]
