"""Publishes the workload: a process of its own, over a few connections, each for many devices as a home's gateway would.

It reads its plan as one line of JSON from its standard input, connects, says ``ready``, waits for a line, publishes, and says
what it did as one line of JSON. So passwords are in no argument list, and several generators begin together. Further lines tell
it meanwhile how many of its messages are stored.
"""

from __future__ import annotations

import asyncio
import json
import resource
import select
import ssl
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.chain.workload import Composer, instant_text
from ingest.packets import PUBACK_HEADER, split

TICK_SECONDS = 0.005
"""Between two looks at what is due."""
MOST_AT_ONCE = 200
CONNECT_SECONDS = 30.0
LONGEST_LINE = 2**20
QUIET_SECONDS = 60.0
"""Without an acknowledgement for so long, the broker has stopped."""


@dataclass(frozen=True)
class Plan:
    """What to publish.

    Attributes:
        port: of the broker, TLS.
        ca_file: PEM of its authority.
        accounts: user name and password of each connection.
        devices: how many, shared out among the connections.
        messages: in all.
        rate: messages a second, 0 for as fast as they are acknowledged.
        window: unacknowledged messages per connection.
        receipts: whether each asks for a receipt; they are awaited on ``receipts_filter``.
        receipts_filter: subscribed to by the first connection, where receipts are asked for.
        first: number of the first device.
        backlog: messages that may be published and not stored yet; 0 for any number. It publishes faster than they can be
            stored, and the broker's queue is bounded.
    """

    port: int
    ca_file: str
    accounts: Sequence[tuple[str, str]]
    devices: int
    messages: int
    rate: float = 0.0
    window: int = 200
    receipts: bool = False
    receipts_filter: str = ""
    first: int = 0
    backlog: int = 0


@dataclass
class Published:
    """What was done.

    Attributes:
        sent: messages published and acknowledged.
        begun: wall clock at the first, seconds.
        ended: wall clock at the last acknowledgement.
        receipts: receipts that came.
        cpu: processor seconds of this process meanwhile.
        behind: by how much it was late at the most, seconds, where a rate was asked for.
    """

    sent: int = 0
    begun: float = 0.0
    ended: float = 0.0
    receipts: int = 0
    cpu: float = 0.0
    behind: float = 0.0


@dataclass
class Progress:
    """What became of the messages so far.

    Attributes:
        stored: as far as it is known here.
    """

    stored: int = 0

    async def listen(self, lines: asyncio.StreamReader) -> None:
        """Take in what it is told, until no more comes."""
        while line := await lines.readline():
            self.stored = int(line)


class Connection(asyncio.Protocol):
    """One MQTT 5 connection."""

    def __init__(self, composer: Composer, share: int) -> None:
        self.composer = composer
        self.left = share
        self.waiting = 0
        self.receipts = 0
        self.answered = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits for an answer that none will come."""
        if not self.answered.done():
            self.answered.set_exception(ConnectionError("the broker ended the connection at its login"))

    def data_received(self, data: bytes) -> None:
        """Count acknowledgements; acknowledge and count receipts."""
        buffer = self._rest + data
        packets = split(buffer)
        self._rest = buffer[packets.consumed :]
        self.waiting -= len(packets.acknowledged)
        if packets.publishes:
            self.transport.write(b"".join(PUBACK_HEADER + one.packet_id for one in packets.publishes))
            self.receipts += sum(one.payload.count(b'"durable"') for one in packets.publishes)
        if packets.control and not self.answered.done():
            self.answered.set_result(packets.control)

    async def ask(self, packet: bytes) -> bytes:
        """Send a packet and wait for the answer, which is no message."""
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(packet)
        return bytes(await self.answered)

    def publish(self, count: int, instant: bytes) -> int:
        """Publish up to so many messages."""
        count = min(count, self.left)
        if count > 0:
            self.transport.write(self.composer.packets(count, instant))
            self.left -= count
            self.waiting += count
        return max(0, count)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def _packet(kind: int, body: bytes) -> bytes:
    assert len(body) < 0x4000
    return bytes((kind, len(body) & 0x7F | 0x80, len(body) >> 7)) + body


def login(name: str, password: str) -> bytes:
    """Make a CONNECT: MQTT 5, a clean start, user name and password, no keepalive, no properties (section 3.1)."""
    return _packet(0x10, _text("MQTT") + b"\x05\xc2\x00\x00\x00" + _text(name) + _text(name) + _text(password))


async def connect(plan: Plan) -> list[Connection]:
    """Log all connections in.

    Raises:
        ConnectionError: the broker refuses one.
    """
    loop = asyncio.get_running_loop()
    tls = ssl.create_default_context(cafile=plan.ca_file)
    count = len(plan.accounts)
    made = []
    for number, (name, password) in enumerate(plan.accounts):
        own = range(plan.first + number, plan.first + plan.devices, count)
        share = plan.messages // count + (number < plan.messages % count)
        connection = Connection(Composer(own, plan.receipts), share)
        await loop.create_connection(lambda one=connection: one, "localhost", plan.port, ssl=tls)  # type: ignore[misc]
        answer = await asyncio.wait_for(connection.ask(login(name, password)), CONNECT_SECONDS)
        if answer[0] != 0x20 or answer[3]:
            raise ConnectionError(f"the broker does not let {name} in")
        made.append(connection)
    if plan.receipts:
        await asyncio.wait_for(
            made[0].ask(_packet(0x82, b"\x00\x01\x00" + _text(plan.receipts_filter) + b"\x01")), CONNECT_SECONDS
        )
    return made


async def publish(plan: Plan, connections: list[Connection], so_far: Progress) -> Published:
    """Publish everything, and wait for every acknowledgement and receipt.

    Args:
        plan: what to publish.
        connections: logged in.
        so_far: told by others meanwhile.

    Raises:
        TimeoutError: the broker has stopped acknowledging.
    """
    done = Published(begun=time.time())
    before, started = _cpu(), time.perf_counter()
    sent, newest, progress = 0, started, -1
    ring = deque(connections)
    waiting = 0
    while sent < plan.messages or waiting:
        now = time.perf_counter()
        due = plan.messages if not plan.rate else min(plan.messages, int((now - started) * plan.rate) + 1)
        if plan.backlog:
            due = min(due, so_far.stored + plan.backlog)
        if sent < due:
            if plan.rate:
                done.behind = max(done.behind, now - started - sent / plan.rate)
            sent += _turn(plan, ring, due - sent)
        waiting = sum(one.waiting for one in connections)
        if sent - waiting != progress:
            newest, progress = now, sent - waiting
        elif waiting and now - newest > QUIET_SECONDS:
            raise TimeoutError(f"{waiting} messages stay unacknowledged")
        select.select((), (), (), TICK_SECONDS)  # the loop rests, too: acknowledgements are read together, not each as it comes
        await asyncio.sleep(0)
    done.sent, done.ended, done.cpu = sent, time.time(), _cpu() - before
    if plan.receipts:
        done.receipts = await _await_receipts(plan.messages, connections[0])
    return done


def _turn(plan: Plan, connections: deque[Connection], due: int) -> int:
    """Let each connection publish its part of what is due, as far as its window goes; the next turn begins where this ends."""
    instant = instant_text(time.time())
    sent = 0
    part = max(1, min(MOST_AT_ONCE, -(-due // len(connections))))
    for _ in range(len(connections)):
        if sent >= due:
            break
        one = connections[0]
        sent += one.publish(min(part, plan.window - one.waiting, due - sent), instant)
        connections.rotate(-1)
    return sent


async def _await_receipts(messages: int, listener: Connection) -> int:
    seen, quiet = -1, time.perf_counter()
    while listener.receipts < messages and time.perf_counter() - quiet < QUIET_SECONDS:
        if listener.receipts != seen:
            seen, quiet = listener.receipts, time.perf_counter()
        await asyncio.sleep(0.05)
    return listener.receipts


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _main() -> None:
    lines = asyncio.StreamReader(LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    plan = Plan(**json.loads(await lines.readline()))
    connections = await connect(plan)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await lines.readline()
    so_far = Progress()
    listening = asyncio.create_task(so_far.listen(lines))
    published = await publish(plan, connections, so_far)
    listening.cancel()
    for one in connections:
        one.transport.close()
    sys.stdout.write(json.dumps(asdict(published)) + "\n")


if __name__ == "__main__":
    asyncio.run(_main())
