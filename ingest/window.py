"""What was published to devices and is not acknowledged by the broker yet; pure.

Receipts are published with QoS 1, so that a device which sleeps gets them when it wakes. paho spends some 60 µs on such a publish
and holds one lock; with a receipt for nearly every message that would be the larger part of the bridge's work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ingest.packets import again, publish_packet

FIRST_PACKET_ID, LAST_PACKET_ID = 0x8000, 0xFFFF
"""Ours; paho counts its own packet ids, which only subscribing uses, from 1."""
Done = Callable[[int], None]
_Publication = tuple[bytes, bytes, Done | None]


class Window:
    """Publishes within what the broker allows at a time (Receive Maximum); the rest queues.

    Args:
        write: sends bytes to the broker.
        most: most publishes under way, whatever the broker allows.
    """

    def __init__(self, write: Callable[[bytes], None], most: int = 2000) -> None:
        self._write = write
        self._most = most
        self._room = 0
        self._next_id = FIRST_PACKET_ID
        self._queue: deque[_Publication] = deque()
        self._under_way: dict[int, _Publication] = {}

    def __len__(self) -> int:
        """Count what the broker has not acknowledged."""
        return len(self._queue) + len(self._under_way)

    def publish(self, topic: bytes, payload: bytes, done: Done | None = None) -> None:
        """Publish with QoS 1, now or when there is room.

        Args:
            topic: UTF-8 bytes without wildcards.
            payload: the message.
            done: told the reason code of the broker's acknowledgement; 0x80 and above: it refused.
        """
        self._queue.append((topic, payload, done))
        self._fill()

    def opened(self, receive_maximum: int) -> None:
        """Begin on a new connection: what was under way on the last one goes out again, in order; receipts may repeat.

        Args:
            receive_maximum: publishes the broker allows at a time.
        """
        self._room = min(receive_maximum, self._most)
        while len(self._under_way) > self._room:
            self._queue.appendleft(self._under_way.popitem()[1])
        for packet_id, (topic, payload, _) in self._under_way.items():
            self._write(again(publish_packet(topic, packet_id, payload)))
        self._fill()

    def closed(self) -> None:
        """Hold everything until the next connection."""
        self._room = 0

    def clear(self) -> None:
        """Forget everything: another bridge answers the devices."""
        self._queue.clear()
        self._under_way.clear()

    def acknowledged(self, packet_id: int, reason: int) -> None:
        """Take note that the broker has one.

        Args:
            packet_id: which; others' are passed over.
            reason: its reason code.
        """
        found = self._under_way.pop(packet_id, None)
        if found is None:
            return
        if found[2] is not None:
            found[2](reason)
        self._fill()

    def _fill(self) -> None:
        while self._queue and len(self._under_way) < self._room:
            publication = self._queue.popleft()
            packet_id = self._free_id()
            self._under_way[packet_id] = publication
            self._write(publish_packet(publication[0], packet_id, publication[1]))

    def _free_id(self) -> int:
        while self._next_id in self._under_way:
            self._advance()
        found = self._next_id
        self._advance()
        return found

    def _advance(self) -> None:
        self._next_id = FIRST_PACKET_ID if self._next_id == LAST_PACKET_ID else self._next_id + 1
