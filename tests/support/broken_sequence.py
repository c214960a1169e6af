"""A process of ours whose producer loses count of its sequence numbers over what names somebody. A test runs it as a module::

python -m tests.support.broken_sequence streams <name>
python -m tests.support.broken_sequence bridge <name>
"""

from __future__ import annotations

import sys
from typing import Any

from aiokafka import AIOKafkaProducer

from ingest import bridge
from streams import worker

RUNS = {"streams": worker.run, "bridge": bridge.run}
LOST = 3


def break_over(name: bytes) -> None:
    """Let what follows the first record with this name in its value be out of order on every partition written so far.

    Of a partition that the producer has not written yet Kafka takes any number as the first.
    """
    send, broken = AIOKafkaProducer.send, False

    async def sending(
        self: Any, topic: str, value: bytes, key: bytes | None = None, partition: int | None = None, **options: Any
    ) -> Any:
        nonlocal broken
        if not broken and name in value:
            broken = True
            # Wait for what is under way: its numbers are given, and a batch that is sent again keeps them.
            await self.flush()
            for written in self._txn_manager._sequence_numbers:
                self._txn_manager._sequence_numbers[written] += LOST
        return await send(self, topic, value, key, partition, **options)

    setattr(AIOKafkaProducer, send.__name__, sending)


def main() -> int:
    process, name = sys.argv[1:]
    break_over(name.encode())
    return RUNS[process]()


if __name__ == "__main__":
    sys.exit(main())
