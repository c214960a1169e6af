"""From an MQTT topic to the device behind it, its format and its loans: looked up once, kept until the registry changes. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from catalogue.device import MODEL_BY_NAME
from catalogue.formats import DECODERS, Decoder
from contracts.errors import EXPLANATIONS, Code, Rejected
from contracts.ids import device_key, identity_part
from contracts.instants import SECOND
from contracts.loans import FOREVER, Lent, lent
from contracts.mqtt import UpTopic, parse_up
from contracts.registry import DeviceRecord

MAX_ROUTES = 200_000
"""Topics remembered."""


class Correction(NamedTuple):
    """Readings of device time in ``[start, end)`` are moved by ``offset`` microseconds."""

    start: int
    end: int
    offset: int


class Route(msgspec.Struct, frozen=True):
    """What is known of an MQTT topic.

    Attributes:
        key: ``<org>/<device>``, only ``/`` where the topic could not be read.
        org: organisation, empty where the topic could not be read.
        device: device, likewise.
        stream: last level of the topic.
        decode: its format's decoder, or None where nothing can come from it.
        code: why nothing can.
        words: the same in words.
        loans: of the device.
        retired_at: when it was taken out of use, microseconds; what was measured from then on is refused.
        corrections: of its clock.
        late_after: microseconds after which a reading counts as late.
        identity: organisation and device as they begin the identity of a reading.
    """

    key: str
    org: str
    device: str
    stream: str
    decode: Decoder | None = None
    code: Code = Code.INTERNAL
    words: str = ""
    loans: tuple[Lent, ...] = ()
    retired_at: int = FOREVER
    corrections: tuple[Correction, ...] = ()
    late_after: int = 0
    identity: bytes = b""


class Directory:
    """The routes of the topics from which readings can come: a flood of others must not fill the memory."""

    def __init__(self, find: Callable[[str], DeviceRecord | None]) -> None:
        """Prepare it.

        Args:
            find: gives the registry's record of ``<org>/<device>``.
        """
        self._find = find
        self._routes: dict[str, Route] = {}
        self._topics: dict[str, list[str]] = {}

    def route(self, topic: str) -> Route:
        """Look a topic up.

        Args:
            topic: MQTT topic as it came.

        Returns:
            Its route; one without a decoder where nothing can come from it.
        """
        known = self._routes.get(topic)
        if known is None:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
                self._topics.clear()
            known = self._make(topic)
            if known.decode is not None:
                self._routes[topic] = known
                self._topics.setdefault(known.key, []).append(topic)
        return known

    def forget(self, key: str) -> None:
        """Forget a device whose record changed.

        Args:
            key: ``<org>/<device>``.
        """
        for topic in self._topics.pop(key, ()):
            del self._routes[topic]

    def _make(self, topic: str) -> Route:
        try:
            parts = parse_up(topic)
        except Rejected as refusal:
            return Route("/", "", "", "", code=refusal.code, words=refusal.words)
        key = device_key(parts.org, parts.device)
        record = self._find(key)
        if record is None:
            return _closed(parts, Code.DEVICE_UNKNOWN)
        if record.retired and record.retired_at is None:
            return _closed(parts, Code.DEVICE_RETIRED)
        model = MODEL_BY_NAME.get(record.model)
        if model is None:
            return _closed(parts, Code.STREAM_UNKNOWN, f"the catalogue holds no device model '{record.model}'")
        decode = DECODERS.get(model.streams.get(parts.stream, ""))
        if decode is None:
            declared = ", ".join(model.streams)
            return _closed(parts, Code.STREAM_UNKNOWN, f"the model '{model.name}' declares the streams {declared}")
        return Route(
            key,
            *parts,
            decode=decode,
            loans=lent(record),
            retired_at=_end(record.retired_at),
            corrections=tuple(Correction(one.start, _end(one.end), one.offset) for one in record.corrections),
            late_after=round(model.late_after_seconds * SECOND),
            identity=identity_part(parts.org, parts.device),
        )


def _closed(parts: UpTopic, code: Code, words: str = "") -> Route:
    return Route(device_key(parts.org, parts.device), *parts, code=code, words=words or EXPLANATIONS[code][0])


def _end(end: int | None) -> int:
    return FOREVER if end is None else end
