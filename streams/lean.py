"""Faust with a shorter way for each record: what it does around an event costs more than most events.

For every record Faust's consumer starts four tasks, to hand it over or give up when the flow is suspended or the worker stops; a
hand-over nearly always ends without waiting at all. And its monitor keeps statistics that nobody reads: ours are on ``/metrics``.
And while one partition is held back, it looks for records of the others a second long, whatever has become of the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Iterable
from types import coroutine
from typing import Any

import faust
from faust.transport.drivers.aiokafka import Transport
from mode.services import WaitResults

from streams.prompt import PromptConsumer

HELD_SECONDS = 0.01
"""How long records are waited for while a partition is held back."""


class LeanConsumer(PromptConsumer):
    """Hands a record over at once where nothing holds it up, and else as Faust does."""

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
        """Wait for records, but for a moment only while a partition is held back because too much of it waits for its agent.

        Faust waits a second for the others and is not told when the agent has caught up: it then stands still for as long, with
        records in hand.
        """
        if not self._buffered_partitions:
            return await super()._wait_next_records(timeout)
        if self.flow_active and not self._get_active_partitions():
            await self.sleep(HELD_SECONDS)
            return {}, self._get_active_partitions()
        return await super()._wait_next_records(HELD_SECONDS)

    async def wait_first(self, *waited: Any, timeout: Any = None) -> Any:  # noqa: ASYNC109 - Faust's signature
        """Wait for the first of several; when the first of them ends without waiting, no task is started.

        Args:
            waited: coroutines or events.
            timeout: seconds, or None.

        Returns:
            What Faust gives.
        """
        first, *others = waited
        if timeout is not None or not asyncio.iscoroutine(first) or self._stopped.is_set() or self._crashed.is_set():
            return await super().wait_first(*waited, timeout=timeout)
        try:
            awaited = first.send(None)
        except StopIteration as ended:
            _leave(others)
            return WaitResults([first], [ended.value], False)
        except BaseException:
            _leave(others)
            raise
        return await super().wait_first(_finish(first, awaited), *others)


def _leave(others: Iterable[Any]) -> None:
    """Close the coroutines that nobody will wait for."""
    for other in others:
        if asyncio.iscoroutine(other):
            other.close()


async def _finish(begun: Coroutine[Any, Any, Any], awaited: Any) -> Any:
    return await _go_on(begun, awaited)


@coroutine
def _go_on(begun: Coroutine[Any, Any, Any], awaited: Any) -> Generator[Any, Any, Any]:
    """Go on with a coroutine that waits already.

    Args:
        begun: the coroutine.
        awaited: what it waits for: a future, or None where it only lets others work.
    """
    while True:
        try:
            try:
                sent = yield awaited
            except GeneratorExit:
                begun.close()
                raise
            except BaseException as error:  # a cancellation, above all
                awaited = begun.throw(error)
            else:
                awaited = begun.send(sent)
        except StopIteration as ended:
            return ended.value


class LeanTransport(Transport):  # type: ignore[misc]  # Faust is untyped here
    """Faust's Kafka with our consumer."""

    Consumer = LeanConsumer


class LeanApp(faust.App):  # type: ignore[misc]
    """Faust's app with our transport and without its monitor's look at every record."""

    def _new_transport(self) -> Transport:
        return LeanTransport(self.conf.broker_consumer, self)

    def on_init_dependencies(self) -> Iterable[Any]:
        """Give the services to start; Faust has just put its monitor among the sensors."""
        services: Iterable[Any] = super().on_init_dependencies()
        self.sensors.remove(self.monitor)
        return services
