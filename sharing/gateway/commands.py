"""Takes a person's word about an alert to ``agora.alert-commands.v1``."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from contracts.alerts import AlertCommand, encode
from contracts.errors import Unavailable
from contracts.ids import partition_of
from contracts.topics import ALERT_COMMANDS
from runtime import kafka
from runtime.settings import KafkaSettings

SEND_SECONDS = 5.0


class KafkaCommands:
    """Publishes commands; connects when the first one comes, so that the gateway serves apps also while Kafka is away.

    Args:
        settings: where Kafka is.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()

    async def publish(self, command: AlertCommand) -> None:
        """Send a command; returns once Kafka has it.

        Raises:
            Unavailable: Kafka does not take it just now.
        """
        try:
            async with asyncio.timeout(SEND_SECONDS):
                producer = await self._connected()
                await producer.send_and_wait(
                    ALERT_COMMANDS.name,
                    encode(command),
                    key=command.subject.encode(),
                    partition=partition_of(command.subject, ALERT_COMMANDS.partitions),
                )
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable("Kafka does not take the command") from error

    async def close(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                # Not idempotent: a lost sequence number would break it for good, and a command obeyed twice is obeyed once.
                producer = kafka.producer(self._settings, enable_idempotence=False)
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
        return self._producer
