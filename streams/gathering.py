"""What became of raw records that come together is written together.

The bridge's frames of one beat come together, one for each partition of devices, and each holds readings for every partition of
subjects. Written one by one, that is a record for each pair of partitions, and readers pay for records more than for readings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from contracts import down, frames
from contracts.frames import Coordinates, Headers, Origin
from contracts.ids import device_key, partition_of
from contracts.observation import Observation, VitalsFrame
from contracts.topics import DOWN, LEDGER, PARTITIONS, QUARANTINE, RAW, VITALS
from streams.acknowledger import Row
from streams.normalise import Result
from streams.outputs import Output, Outputs

MOST_READINGS = 2_000
"""Written together at most; also if all are one partition's, a record then stays well below what Kafka takes."""
MOST_WAITS = 4
"""How often the first waits for others, each time but the first because more has come since."""


class Gathered(NamedTuple):
    """What became of one raw record.

    Attributes:
        result: what is to be written.
        row: of its partition; once that was dropped, nothing of it is written any more.
        confirmed: called once all of it is confirmed.
    """

    result: Result
    row: Row
    confirmed: Callable[[], None]


class Gathering:
    """Gathers for a moment, then writes, in the order in which things came."""

    def __init__(
        self,
        outputs: Outputs,
        wait_seconds: float,
        most: int,
        fail: Callable[[BaseException], None],
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare it.

        Args:
            outputs: where to write.
            wait_seconds: how long what came last waits for more, and the first at most ``MOST_WAITS`` times as long.
            most: raw records that can be under way at once: so many wait for nobody, since none can come.
            fail: called when an output can never be written.
            rest: waits for so many seconds.
        """
        self._outputs = outputs
        self._wait_seconds = wait_seconds
        self._most = most
        self._fail = fail
        self._rest = rest
        self._waiting: list[Gathered] = []
        self._readings = 0
        self._in_order = asyncio.Lock()
        self._due: asyncio.Task[None] | None = None

    async def add(self, gathered: Gathered) -> None:
        """Take one in; returns at once, but waits while Kafka is behind.

        Args:
            gathered: what became of a raw record, in the order of its partition.

        Raises:
            KafkaError: when an output can never be written.
        """
        readings = sum(map(len, gathered.result.vitals.values()))
        if self._waiting and self._readings + readings > MOST_READINGS:
            await self._write()
        self._waiting.append(gathered)
        self._readings += readings
        if len(self._waiting) >= self._most:
            await self._write()
        elif self._due is None or self._due.done():
            self._due = asyncio.create_task(self._write_later())

    async def _write_later(self) -> None:
        try:
            while self._waiting:
                await self._until_quiet()
                await self._write()
        except Exception as error:
            self._fail(error)

    async def _until_quiet(self) -> None:
        """Wait until nothing more has come for a moment: Kafka flushes the records of a beat one after the other."""
        for _ in range(MOST_WAITS):
            known = len(self._waiting)
            await self._rest(self._wait_seconds)
            if len(self._waiting) <= known:
                return

    async def _write(self) -> None:
        async with self._in_order:  # sending waits while Kafka is behind; meanwhile more comes, and must not overtake
            taken = [one for one in self._waiting if not one.row.dropped]
            self._waiting, self._readings = [], 0
            if taken:
                await self._outputs.send(outputs_of([one.result for one in taken]), lambda: _confirm(taken))


def _confirm(taken: Sequence[Gathered]) -> None:
    for one in taken:
        one.confirmed()


def outputs_of(results: Sequence[Result]) -> list[Output]:
    """Write results as Kafka records, each naming the raw records it was made from.

    Args:
        results: what became of raw records, those of a partition in their order.

    Returns:
        One record of vitals for each partition of subjects, and what goes to quarantine, devices and ledger.
    """
    made = _vitals(results)
    for result in results:
        made += _others(result)
    return made


def _vitals(results: Sequence[Result]) -> list[Output]:
    together: dict[int, tuple[list[Observation], list[Origin]]] = {}
    for result in results:
        raw = result.outcome
        for partition, observations in result.vitals.items():
            found, origins = together.setdefault(partition, ([], []))
            found += observations
            origins.append(Origin(raw.partition, raw.offset, len(observations), result.owned.get(partition, 0)))
    return [
        Output(VITALS.name, partition, None, frames.encode(VitalsFrame(found)), frames.vitals_headers(origins))
        for partition, (found, origins) in together.items()
    ]


def _others(result: Result) -> list[Output]:
    outcome = result.outcome
    one: Headers = frames.headers(1, Coordinates(RAW.name, outcome.partition, outcome.offset))
    made = []
    for kept in result.quarantined:
        key = device_key(kept.org, kept.device) if kept.device else ""
        partition = partition_of(key, PARTITIONS) if key else outcome.partition
        made.append(Output(QUARANTINE.name, partition, key.encode() or None, frames.encode(kept), one))
    for told in result.down:
        key = device_key(told.org, told.device)
        made.append(Output(DOWN.name, partition_of(key, PARTITIONS), key.encode(), down.encode(told), one))
    made.append(Output(LEDGER.name, outcome.partition, None, frames.encode(outcome), one))
    return made
