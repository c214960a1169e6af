"""From an MQTT topic to where its messages go and where their device is answered; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from contracts.ids import device_key, is_name, partition_of
from contracts.mqtt import ERRORS, RECEIPTS, down_topic
from contracts.topics import RAW

REMEMBERED = 100_000
"""Topics whose route is kept; beyond it the memory starts anew, so that it stays bounded."""
REMEMBERED_PER_DEVICE = 16
"""Of these, of one device: who makes topics up fills nobody's memory with them."""
LONGEST_REMEMBERED_BYTES = 256
"""Longer than any topic of our shape; below its own name a device may publish on topics of up to 64 KiB, each another."""
_ORG_LEVEL, _DEVICE_LEVEL, _STREAM_LEVEL = 2, 3, 5


@dataclass(frozen=True, slots=True)
class Route:
    """What a topic decides about its messages.

    Attributes:
        topic: MQTT topic as text.
        org: organisation, empty where the topic names none.
        device: device, likewise.
        stream: stream, likewise.
        key: what the raw record is partitioned by: ``<org>/<device>``, else the whole topic.
        partition: of ``agora.raw.v1`` and of ``agora.quarantine.v1``, which have the same number.
        receipts: the device's own receipts topic; empty where no device is named, who then cannot be answered.
        errors: its own errors topic, likewise.
    """

    topic: str
    org: str
    device: str
    stream: str
    key: str
    partition: int
    receipts: bytes
    errors: bytes


def route(topic: bytes) -> Route:
    """Derive a topic's route.

    A topic of another shape than the platform's is routed all the same: the message goes to the log as it came, and the
    normaliser gives the verdict, so that every message stands in the ledger once.

    Args:
        topic: UTF-8 bytes, as the broker delivered them.

    Returns:
        The route; messages of one device always have one partition, whatever their stream.
    """
    text = topic.decode("utf-8", "replace")
    levels = text.split("/")
    org = device = stream = ""
    if len(levels) > _DEVICE_LEVEL and is_name(levels[_ORG_LEVEL]) and is_name(levels[_DEVICE_LEVEL]):
        org, device = levels[_ORG_LEVEL], levels[_DEVICE_LEVEL]
        stream = "/".join(levels[_STREAM_LEVEL:])
    key = device_key(org, device) if device else text
    return Route(
        text,
        org,
        device,
        stream,
        key,
        partition_of(key, RAW.partitions),
        down_topic(org, device, RECEIPTS).encode() if device else b"",
        down_topic(org, device, ERRORS).encode() if device else b"",
    )


class Routes:
    """The routes of the topics seen of late."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._routes: dict[bytes, Route] = {}
        self._of_device: Counter[str] = Counter()
        self._remembered = remembered

    def of(self, topic: bytes) -> Route:
        """Give a topic's route, derived only the first time where it can be the platform's."""
        known = self._routes.get(topic)
        if known is None:
            known = route(topic)
            if known.device and len(topic) <= LONGEST_REMEMBERED_BYTES and self._of_device[known.key] < REMEMBERED_PER_DEVICE:
                self._remember(topic, known)
        return known

    def _remember(self, topic: bytes, route: Route) -> None:
        if len(self._routes) >= self._remembered:
            self._routes.clear()
            self._of_device.clear()
        self._routes[topic] = route
        self._of_device[route.key] += 1
