from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, NotLeaderForPartitionError
from pydantic import SecretStr

from runtime.settings import KafkaSettings
from streams import outputs
from streams.outputs import Output, Outputs, patient_producer

SETTINGS = KafkaSettings(bootstrap="127.0.0.1:9", username="streams", password=SecretStr("secret"))
RECORDS = [Output("topic", number, None, bytes([number]), []) for number in range(3)]


class FakeProducer:
    """Confirms or refuses as it is told, in the order in which records came."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, asyncio.Future[Any]]] = []

    async def send(self, topic: str, value: bytes, **more: object) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.sent.append((value, future))
        return future

    async def settle(self, index: int, error: KafkaError | None = None) -> None:
        future = self.sent[index][1]
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
        await asyncio.sleep(0)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> tuple[Outputs, FakeProducer, list[BaseException]]:
    monkeypatch.setattr(outputs, "RETRY_SECONDS", 0.0)
    failures: list[BaseException] = []
    made, producer = Outputs(SETTINGS, failures.append), FakeProducer()
    made._producer = producer
    return made, producer, failures


Kept = tuple[Outputs, FakeProducer, list[BaseException]]


async def test_an_event_is_done_only_when_all_its_outputs_are_confirmed(kept: Kept) -> None:
    made, producer, _ = kept
    done: list[str] = []
    await made.send(RECORDS, lambda: done.append("done"))
    for index in (2, 0):
        await producer.settle(index)
        assert done == []
    await producer.settle(1)
    assert done == ["done"]


async def test_an_event_without_outputs_is_done_at_once(kept: Kept) -> None:
    done: list[str] = []
    await kept[0].send([], lambda: done.append("done"))
    assert done == ["done"]


async def test_what_kafka_refuses_for_the_moment_is_sent_again_in_order(kept: Kept) -> None:
    made, producer, failures = kept
    done: list[str] = []
    await made.send(RECORDS, lambda: done.append("done"))
    await producer.settle(2, NotLeaderForPartitionError())
    await producer.settle(0, NotLeaderForPartitionError())
    await producer.settle(1)
    for _ in range(5):
        await asyncio.sleep(0)
    assert [value for value, _ in producer.sent[3:]] == [b"\x00", b"\x02"]
    assert done == []
    await producer.settle(3)
    await producer.settle(4)
    assert done == ["done"]
    assert failures == []


async def test_what_can_never_be_written_stops_the_process_unacknowledged(kept: Kept) -> None:
    made, producer, failures = kept
    done: list[str] = []
    await made.send(RECORDS, lambda: done.append("done"))
    await producer.settle(0)
    await producer.settle(1, MessageSizeTooLargeError())
    await producer.settle(2)
    assert [type(error) for error in failures] == [MessageSizeTooLargeError]
    assert done == []


async def test_the_producer_never_gives_a_batch_up() -> None:
    producer = patient_producer(SETTINGS)
    assert producer._message_accumulator._batch_ttl == math.inf
    accumulator = producer._message_accumulator
    batch = accumulator._append_batch(accumulator.create_builder(), ("topic", 0))
    assert not batch.expired()
    await producer.stop()
