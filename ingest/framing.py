"""Messages gathered into frames, and acknowledgements held back until the frames are durable; pure.

A partition has one frame under way at a time: order is then kept whatever the producer does, and frames grow by themselves with
the load. The first message after a pause leaves at once.

Under load the frames of all partitions leave at one beat, not each when its own time has come: they then travel to Kafka in one
request, are fetched together, and what is made of them is written together. Requests, not bytes, are what a small frame costs.

The more comes, the longer a beat: what a record costs is then shared by more messages, when that is needed most. A few dozen
milliseconds are little beside what a platform that cannot follow would make them wait.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from contracts import frames
from contracts.frames import Headers, RawFrame, RawMessage
from contracts.topics import RAW
from ingest.replies import Replies

MESSAGE_OVERHEAD_BYTES = 32
"""More than msgpack puts around the fields of a message: 1 for the array, at most 5 each for topic, payload, correlation and id,
9 for the instant, 1 for ``replay_of``."""
BEAT_MESSAGES = 160
"""Of all partitions; while a beat brings no more, it lasts as long as was asked for."""
LONGEST_BEAT = 0.1
"""Seconds, to which a beat grows at most; one that was asked to be longer does not grow."""
MAX_MESSAGE_BYTES = frames.MAX_FRAME_BYTES - 16
"""What the messages of a frame may sum up to, with their overhead; the rest is for the frame's own two arrays."""


class Arrival:
    """What one reading of the socket brought.

    Attributes:
        connection: number of the MQTT connection it came on; acknowledgements are void on any other.
        acknowledgements: PUBACK packets of its messages, in order.
        outstanding: its messages that are not durable yet.
        received_at: when it came, microseconds.
    """

    __slots__ = ("acknowledgements", "connection", "outstanding", "received_at")

    def __init__(self, connection: int, received_at: int = 0) -> None:
        self.connection = connection
        self.received_at = received_at
        self.acknowledgements = bytearray()
        self.outstanding = 0


class Acknowledger:
    """Gives acknowledgements free in the order in which the messages came (MQTT 5, 4.6), each only when it is durable."""

    def __init__(self) -> None:
        self._arrivals: deque[Arrival] = deque()

    def expect(self, arrival: Arrival) -> None:
        """Take in an arrival, in order.

        One that holds nothing back joins the one before: while Kafka hangs, messages refused for their quota keep coming.
        """
        if not arrival.outstanding and self._arrivals and self._arrivals[-1].connection == arrival.connection:
            self._arrivals[-1].acknowledgements += arrival.acknowledgements
        else:
            self._arrivals.append(arrival)

    @property
    def oldest(self) -> int | None:
        """When the oldest arrival that is not durable came, microseconds; None when all are. May be asked by another thread."""
        try:
            return self._arrivals[0].received_at
        except IndexError:
            return None

    def settle(self, shares: list[tuple[Arrival, int]], connection: int) -> bytes:
        """Count messages as durable.

        Args:
            shares: how many of which arrival.
            connection: number of the present connection.

        Returns:
            PUBACK packets that may be sent now, without those of an earlier connection: what they acknowledge is sent again by
            the broker under packet ids that may mean other messages by now.
        """
        for arrival, count in shares:
            arrival.outstanding -= count
        free = bytearray()
        while self._arrivals and self._arrivals[0].outstanding == 0:
            arrival = self._arrivals.popleft()
            if arrival.connection == connection:
                free += arrival.acknowledgements
        return bytes(free)


class Frame:
    """Messages of one partition that travel as one record of ``agora.raw.v1``.

    Attributes:
        partition: of ``agora.raw.v1``.
        messages: in the order of their arrival, at least one.
        size: upper bound of their encoded bytes.
        shares: how many of them came with which arrival.
        replies: what their devices are told once it is durable.
    """

    __slots__ = ("_last", "_last_count", "_shares", "messages", "partition", "replies", "size")
    topic = RAW.name
    key = None

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.messages: list[RawMessage] = []
        self.size = 0
        self.replies = Replies()
        self._shares: list[tuple[Arrival, int]] = []
        self._last: Arrival | None = None
        self._last_count = 0

    def add(self, message: RawMessage, size: int, arrival: Arrival) -> None:
        """Append a message."""
        self.messages.append(message)
        self.size += size
        arrival.outstanding += 1
        if arrival is not self._last:
            self._close_share()
            self._last = arrival
        self._last_count += 1

    def _close_share(self) -> None:
        if self._last is not None:
            self._shares.append((self._last, self._last_count))
            self._last_count = 0

    @property
    def shares(self) -> list[tuple[Arrival, int]]:
        """How many messages came with which arrival."""
        return [*self._shares, (self._last, self._last_count)] if self._last is not None else []

    @property
    def count(self) -> int:
        """Messages in it."""
        return len(self.messages)

    @property
    def received_at(self) -> int:
        """When its first message came, microseconds."""
        return self.messages[0].received_at

    def value(self) -> bytes:
        """Write it as msgpack."""
        return frames.encode(RawFrame(self.messages))

    def headers(self) -> Headers:
        """Make its record's headers."""
        return frames.headers(len(self.messages))


@dataclass(frozen=True, slots=True)
class Limits:
    """When a frame is closed.

    Attributes:
        messages: most messages of a frame, at least 1.
        bytes: most bytes of a frame's messages with their overhead; a single message may not be longer.
        interval: seconds from one beat to the next. A partition whose frame left waits for the next beat, unless it is full.
    """

    messages: int
    interval: float
    bytes: int = MAX_MESSAGE_BYTES

    def beat(self, messages: int, seconds: float) -> float:
        """Tell how long the next beat lasts.

        Args:
            messages: that came since the last beat began.
            seconds: how long ago that was.

        Returns:
            ``interval`` seconds, longer in the measure in which messages come faster than ``BEAT_MESSAGES`` an interval.
        """
        interval = self.interval
        if interval == 0.0:
            return 0.0
        faster = messages * interval / max(seconds, interval) / BEAT_MESSAGES
        return min(interval * max(faster, 1.0), max(interval, LONGEST_BEAT))


class Framer:
    """Builds the frames of all partitions and says when each may leave."""

    def __init__(self, limits: Limits, partitions: int = RAW.partitions) -> None:
        self._limits = limits
        self._building = [Frame(partition) for partition in range(partitions)]
        self._sealed: list[deque[Frame]] = [deque() for _ in range(partitions)]
        self._under_way = [False] * partitions
        self._due = [0.0] * partitions
        self._begun = self._beat = 0.0
        self._came = 0

    def add(self, partition: int, message: RawMessage, size: int, arrival: Arrival) -> Frame:
        """Put a message into the frame its partition is building.

        Args:
            partition: of the message's device.
            message: the message.
            size: upper bound of its encoded bytes, at most ``Limits.bytes``.
            arrival: what it came with.

        Returns:
            The frame, to put the message's replies with it.
        """
        frame = self._building[partition]
        if frame.messages and (frame.size + size > self._limits.bytes or len(frame.messages) >= self._limits.messages):
            self._sealed[partition].append(frame)
            frame = self._building[partition] = Frame(partition)
        frame.add(message, size, arrival)
        self._came += 1
        return frame

    def take(self, now: float, everything: bool = False) -> list[Frame]:
        """Take the frames that may leave, at most one for each partition that has none under way.

        Args:
            now: seconds of a clock that never goes back.
            everything: whether a frame leaves without waiting for its time; still one at a time.

        Returns:
            Frames; ``settle`` each once it is durable.
        """
        taken: list[Frame] = []
        for partition, under_way in enumerate(self._under_way):
            if under_way:
                continue
            sealed = self._sealed[partition]
            if sealed:
                taken.append(sealed.popleft())
            elif self._building[partition].messages and (everything or self._ready(partition, now)):
                taken.append(self._building[partition])
                self._building[partition] = Frame(partition)
            else:
                continue
            self._under_way[partition] = True
            if now >= self._beat:
                self._beat = now + self._limits.beat(self._came, now - self._begun)
                self._begun, self._came = now, 0
            self._due[partition] = self._beat
        return taken

    def _ready(self, partition: int, now: float) -> bool:
        frame = self._building[partition]
        full = len(frame.messages) >= self._limits.messages or frame.size >= self._limits.bytes
        return full or now >= self._due[partition]

    def settle(self, frame: Frame) -> None:
        """Let the partition of a frame that is durable send the next."""
        self._under_way[frame.partition] = False

    def next_due(self) -> float | None:
        """Tell when to ask ``take`` again, on its clock; None when only a settled frame or a message changes anything."""
        waiting = [
            self._due[partition]
            for partition, under_way in enumerate(self._under_way)
            if not under_way and self._building[partition].messages
        ]
        return min(waiting, default=None)
