"""A process of ours whose producer loses count of its sequence numbers over what names somebody. A test runs it as a module::

python -m tests.support.broken_sequence streams <name>
python -m tests.support.broken_sequence bridge <name>
"""

from __future__ import annotations

import sys
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from ingest import bridge
from streams import worker

RUNS = {"streams": worker.run, "bridge": bridge.run}
LOST = 3


def break_over(name: bytes) -> None:
    """Let every later batch of a partition be out of order, from the first record on whose value holds the name."""
    send, broken = AIOKafkaProducer.send, False

    async def sending(self: Any, topic: str, value: bytes, *arguments: Any, **options: Any) -> Any:
        nonlocal broken
        if not broken and name in value:
            broken = True
            # Wait for what is under way: its numbers are given, and a batch that is sent again keeps them.
            await self.flush()
            self._txn_manager._sequence_numbers[TopicPartition(topic, options["partition"])] += LOST
        return await send(self, topic, value, *arguments, **options)

    setattr(AIOKafkaProducer, send.__name__, sending)


def main() -> int:
    process, name = sys.argv[1:]
    break_over(name.encode())
    return RUNS[process]()


if __name__ == "__main__":
    sys.exit(main())
