"""From packets to frames: what becomes of each message that arrives; pure.

Whatever fits into a frame goes to ``agora.raw.v1`` as it came, also from a topic of the wrong shape: the normaliser gives the
verdict, and the ledger counts the message from there. Only two kinds are refused here. What is beyond its device's quota is not
taken at all: the broker is told that it was handled, the device that it was not. A message too large for a frame goes to
``agora.quarantine.v1`` straight away with an **empty source**, since no raw record holds it: it is not *received* in the ledger's
sense (received = messages in ``agora.raw.v1``), and who sums quarantine for the ledger leaves the stage ``bridge`` out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from contracts.errors import Code, Stage
from contracts.frames import Headers, RawMessage, headers
from contracts.quarantine import QuarantinedMessage
from contracts.topics import FRAME_BYTES, QUARANTINE
from ingest.envelope import message_id
from ingest.framing import MESSAGE_OVERHEAD_BYTES, Acknowledger, Arrival, Framer, Limits
from ingest.packets import PUBACK_HEADER, Publish, reply_properties
from ingest.quota import Exceeded, QuotaLimits, Quotas
from ingest.replies import Handles, Replies
from ingest.routes import Route, Routes
from runtime.version import VERSION

KEPT_BYTES = FRAME_BYTES - 128 * 1024
"""How much of a message that is too large is kept: what fits into a record, with the longest topic (64 KiB) and the words."""
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that no frame can hold, on its way to quarantine; it travels like a frame.

    Attributes:
        partition: of ``agora.quarantine.v1``.
        key: device key.
        message: what is kept of it.
        shares: the arrival it came with.
        replies: the error for its device.
        size: its bytes, for the bound on what waits.
    """

    partition: int
    key: bytes
    message: QuarantinedMessage
    shares: list[tuple[Arrival, int]]
    replies: Replies
    size: int
    count = 1
    topic = QUARANTINE.name

    @property
    def received_at(self) -> int:
        """When it came, microseconds."""
        return self.message.received_at

    def value(self) -> bytes:
        """Write it as msgpack."""
        return _encode(self.message)

    def headers(self) -> Headers:
        """Make its record's headers."""
        return headers(1)


class Intake:
    """Everything between the socket and the producer that needs no I/O.

    Attributes:
        framer: where messages gather.
        acknowledger: what holds their acknowledgements.
        waiting_messages: messages taken in that are not durable yet.
        waiting_bytes: their size.
    """

    def __init__(self, limits: Limits, quota: QuotaLimits | None = None) -> None:
        self.framer = Framer(limits)
        self.acknowledger = Acknowledger()
        self.waiting_messages = 0
        self.waiting_bytes = 0
        self._limits = limits
        self._routes = Routes()
        self._quotas = Quotas(quota or QuotaLimits())
        self._exceeded = Exceeded()

    def receive(self, publishes: Iterable[Publish], connection: int, now: int, at: float) -> list[Refusal]:
        """Take messages in.

        Args:
            publishes: what one reading of the socket brought, in order.
            connection: number of the MQTT connection.
            now: microseconds.
            at: seconds of a clock that never goes back; a wall clock that is set must not use up any quota.

        Returns:
            Those no frame can hold. What was beyond quotas is for ``take_exceeded``.

        Raises:
            MalformedPacket: when a message's properties are none of MQTT 5's.
        """
        arrival = Arrival(connection, now)
        refusals: list[Refusal] = []
        try:
            for publish in publishes:
                self._take(publish, arrival, now, at, refusals)
        finally:
            self.acknowledger.expect(arrival)
            self.waiting_messages += arrival.outstanding
        return refusals

    def take_exceeded(self) -> Exceeded | None:
        """Take what was beyond quotas since the last call; None where nothing was."""
        exceeded = self._exceeded
        if not exceeded.messages:
            return None
        self._exceeded = Exceeded()
        return exceeded

    def _take(self, publish: Publish, arrival: Arrival, now: int, at: float, refusals: list[Refusal]) -> None:
        topic, payload = publish.topic, publish.payload
        route = self._routes.of(topic)
        handles = self._handles(route, publish.properties, payload)
        if publish.packet_id:
            arrival.acknowledgements += PUBACK_HEADER
            arrival.acknowledgements += publish.packet_id
        size = len(topic) + len(payload) + MESSAGE_OVERHEAD_BYTES
        if handles is not None:
            size += len(handles.correlation or b"") + 4 * len(handles.message_id or "")
        if not self._quotas.admits(route.key, size, at):
            self._quotas.refuse(route, handles, at, self._exceeded)
            return
        self.waiting_bytes += size
        if size > self._limits.bytes:
            refusals.append(self._refuse(route, payload, size, handles, arrival, now))
        elif handles is None:
            self.framer.add(route.partition, RawMessage(route.topic, payload, now), size, arrival)
        else:
            message = RawMessage(route.topic, payload, now, handles.correlation, handles.message_id)
            replies = self.framer.add(route.partition, message, size, arrival).replies
            replies.receipt(route, handles)
            replies.warning(route, handles)

    def _handles(self, route: Route, properties: bytes, payload: bytes) -> Handles | None:
        """Find out how the message wants to be answered; None where it does not, which is the shortest way through."""
        correlation, response = reply_properties(properties) if properties else (None, None)
        identifier = message_id(payload)
        if correlation is None and response is None and identifier is None:
            return None
        return Handles(route, correlation, response, identifier)

    def _refuse(self, route: Route, payload: bytes, size: int, handles: Handles | None, arrival: Arrival, now: int) -> Refusal:
        handles = handles or Handles(route, None, None, None)
        words = (
            f"The message is {len(payload)} bytes long; with its topic at most {self._limits.bytes} fit. Send smaller batches."
        )
        if len(payload) > KEPT_BYTES:
            words += f" Its first {KEPT_BYTES} bytes were kept."
        replies = Replies()
        replies.error(route, Code.PAYLOAD_TOO_LARGE, words, handles)
        arrival.outstanding += 1
        message = QuarantinedMessage(
            source="",
            index=0,
            org=route.org,
            device=route.device,
            stage=Stage.BRIDGE,
            code=Code.PAYLOAD_TOO_LARGE,
            words=words,
            field="",
            topic=route.topic,
            payload=payload[:KEPT_BYTES],
            received_at=now,
            quarantined_at=now,
            software=VERSION,
            correlation=handles.correlation,
            message_id=handles.message_id,
        )
        return Refusal(route.partition, route.key.encode(), message, [(arrival, 1)], replies, size)
