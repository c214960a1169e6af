"""The streams process: starts the registry views, the producer and Faust, in this order, and ends all of it in order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import NoReturn

from runtime import memory, telemetry
from runtime.settings import KafkaSettings, ProcessSettings, load
from streams import events
from streams.app import Streams, build
from streams.settings import StreamsSettings

EXIT_FAILED = 1


def run() -> int:
    """Run the worker until it is told to stop or cannot go on.

    Returns:
        0 after an orderly stop. A failure ends the process with 1 and leaves unacknowledged what was not confirmed.

    Raises:
        Misconfigured: at start, naming the setting.
    """
    process = load(ProcessSettings)
    kafka_settings = load(KafkaSettings)
    settings = load(StreamsSettings)
    telemetry.start(process, "streams")
    return asyncio.run(_Worker(kafka_settings, settings).run())


class _Worker:
    """One run of the process."""

    def __init__(self, kafka_settings: KafkaSettings, settings: StreamsSettings) -> None:
        self._kafka = kafka_settings
        self._settings = settings
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """End the process without acknowledging anything more."""
        if self._failure is None:
            self._failure = error
            events.WORKER_FAILED.emit(kind=type(error).__name__, reason=str(error)[:300])
        self._stop.set()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        streams = build(self._kafka, self._settings, self.fail)
        working = asyncio.create_task(self._work(streams), name="work")
        stopped = asyncio.create_task(self._stop.wait(), name="stop asked")
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if working.done() and not working.cancelled() and (error := working.exception()) is not None:
            self.fail(error)
        if self._failure is not None:
            _leave()
        return await self._end(streams, working)

    async def _work(self, streams: Streams) -> None:
        await streams.devices.start()
        await streams.rules.start()
        await streams.outputs.start()
        for committed in streams.committed:
            await committed.look_for_reset()
        memory.settle()
        events.WORKER_STARTED.emit()
        await streams.app.start()
        await streams.app.wait_until_stopped()
        if not self._stop.is_set():
            raise streams.app.crash_reason or RuntimeError("Faust stopped by itself")

    async def _end(self, streams: Streams, working: asyncio.Task[None]) -> int:
        try:
            async with asyncio.timeout(self._settings.stop_seconds):
                await streams.app.stop()
                await streams.outputs.stop()
                await streams.rules.stop()
                await streams.devices.stop()
        except TimeoutError:
            self.fail(TimeoutError(f"the stop took longer than {self._settings.stop_seconds} s"))
            _leave()
        finally:
            working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        events.WORKER_STOPPED.emit()
        return 0


def _leave() -> NoReturn:
    """End the process at once: winding Faust up could acknowledge, and its threads may hang."""
    sys.stderr.flush()
    os._exit(EXIT_FAILED)
