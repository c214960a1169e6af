"""Readings that left for an app's topic and were never confirmed, and what the access log says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from aiokafka.errors import KafkaConnectionError, NotLeaderForPartitionError, RequestTimedOutError
from aiokafka.protocol.produce import ProduceRequest

from contracts.registry import ConsentRecord
from deploy.local.stack import Stack
from sharing.access_log import UNCONFIRMED
from sharing.delivery import Delivery
from sharing.release import Refusal
from tests.sharing_platform import Platform, Received, database_settings, ensure_running
from tests.support.deliveries import Send, Wall, consents_of, delivery_of, items_of, lendings_of, producing

Outcomes = set[tuple[str, str, str, int]]


@pytest.fixture
def platform(stack: Stack) -> Iterator[Platform]:
    ensure_running(stack, "keeper")
    with psycopg.connect(database_settings(stack.settings("operator")).conninfo(), autocommit=True) as connection:
        yield Platform(stack, connection)


class Cut:
    """A connection that carries one request to Kafka and loses the answer."""

    def __init__(self, *, arrives: bool = True) -> None:
        """Lose the first answer, or already the request."""
        self.arrives = arrives
        self.meanwhile: Callable[[], None] = lambda: None
        self.left = 1

    def wrap(self, send: Send) -> Send:
        async def cut(node_id: int, request: Any, **options: Any) -> Any:
            if not isinstance(request, ProduceRequest) or not self.left:
                return await send(node_id, request, **options)
            self.left -= 1
            if self.arrives:
                await send(node_id, request, **options)
            self.meanwhile()
            raise KafkaConnectionError

        return cut


def withdraw(delivery: Delivery, consent: ConsentRecord, wall: Wall) -> None:
    delivery._consents.put(consent.consent, consent.model_copy(update={"withdrawn_at": wall.time, "revision": 2}))


async def brought(platform: Platform, cut: Cut, *, withdrawn: bool) -> tuple[Outcomes, list[Received]]:
    """Bring an app the readings of two; gives what is to be logged (outcome, reason, consent, readings), and the topic."""
    app, wall = platform.app("rhythm"), Wall()
    leaving, staying = consents_of(app, "leaving", "staying")
    async with producing(platform, cut.wrap) as producer:
        delivery = await delivery_of(platform, app, producer, wall, [leaving, staying], lendings_of("leaving", "staying"))
        if withdrawn:
            cut.meanwhile = lambda: withdraw(delivery, leaving, wall)
        entries = await delivery.bring(app.app, items_of("leaving", "staying"))
    assert all(entry.at for entry in entries)
    assert len({entry.once for entry in entries}) == len(entries)
    outcomes = {(entry.outcome, entry.reason, entry.consent.consent, entry.readings) for entry in entries}
    return outcomes, await platform.received(app)


@pytest.mark.parametrize("arrives", [True, False])
async def test_what_left_and_was_never_confirmed_before_the_withdrawal_is_logged_as_perhaps_released(
    platform: Platform, arrives: bool
) -> None:
    logged, received = await brought(platform, Cut(arrives=arrives), withdrawn=True)
    assert logged == {
        ("released", UNCONFIRMED, "leaving", 1),
        ("refused", Refusal.WITHDRAWN.value, "leaving", 1),
        ("released", "", "staying", 1),
    }
    assert [record.consent for record in received] == (["leaving", "staying", "staying"] if arrives else ["staying"])


async def test_what_is_confirmed_at_a_later_attempt_is_logged_as_released_and_no_more_in_doubt(platform: Platform) -> None:
    logged, received = await brought(platform, Cut(), withdrawn=False)
    assert logged == {("released", "", "leaving", 1), ("released", "", "staying", 1)}
    assert [record.consent for record in received] == ["leaving", "staying"] * 2


@pytest.mark.parametrize(("error", "doubted"), [(RequestTimedOutError, True), (NotLeaderForPartitionError, False)])
async def test_an_answer_that_says_nothing_was_appended_leaves_no_doubt(
    platform: Platform, error: type[Any], doubted: bool
) -> None:
    cut = Cut()

    def answer_with_an_error(send: Send) -> Send:
        async def answered(node_id: int, request: Any, **options: Any) -> Any:
            answer = await send(node_id, request, **options)
            if isinstance(request, ProduceRequest) and cut.left:
                cut.left -= 1
                cut.meanwhile()
                ((topic, ((partition, _, *more),)),) = answer.topics
                answer.topics = [(topic, [(partition, error.errno, *more)])]
            return answer

        return answered

    cut.wrap = answer_with_an_error  # type: ignore[method-assign]
    logged, _ = await brought(platform, cut, withdrawn=True)
    assert (("released", UNCONFIRMED, "leaving", 1) in logged) is doubted
