import asyncio

import pytest

from ingest.link import BUFFER_BYTES, MAX_PACKET_BYTES, ControlSocket, Link
from ingest.packets import PINGREQ_PACKET, Packets, Publish, publish_packet


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.ended = ""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.ended = "aborted"

    def close(self) -> None:
        self.ended = "closed"

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Ear:
    def __init__(self) -> None:
        self.publishes: list[Publish] = []
        self.lost = 0

    def packets_received(self, packets: Packets, size: int) -> None:
        self.publishes += packets.publishes

    def link_lost(self) -> None:
        self.lost += 1


def connected() -> tuple[Link, Ear, Transport]:
    ear, transport = Ear(), Transport()
    link = Link(ear)
    link.connection_made(transport)
    return link, ear, transport


def feed(link: Link, data: bytes) -> None:
    while data:
        buffer = link.get_buffer(-1)
        taken = min(len(buffer), len(data))
        buffer[:taken] = data[:taken]
        link.buffer_updated(taken)
        data = data[taken:]


@pytest.mark.parametrize("step", [1, 7, 1000, BUFFER_BYTES])
async def test_messages_come_whole_however_the_bytes_are_cut(step: int) -> None:
    link, ear, _ = connected()
    sent = [publish_packet(b"t", number, bytes([number]) * number * 3) for number in range(1, 60)]
    data = b"".join(sent)
    for start in range(0, len(data), step):
        feed(link, data[start : start + step])
    assert [publish.payload for publish in ear.publishes] == [bytes([number]) * number * 3 for number in range(1, 60)]


async def test_a_message_longer_than_the_buffer_makes_it_grow_and_shrink_again() -> None:
    link, ear, _ = connected()
    feed(link, publish_packet(b"t", 1, b"x" * 3_000_000) + publish_packet(b"t", 2, b"y"))
    assert [len(publish.payload) for publish in ear.publishes] == [3_000_000, 1]
    assert len(link._buffer) == BUFFER_BYTES


async def test_a_packet_beyond_what_was_agreed_ends_the_connection() -> None:
    link, ear, transport = connected()
    feed(link, publish_packet(b"t", 1, b"x" * (MAX_PACKET_BYTES + BUFFER_BYTES))[:10])
    assert (transport.ended, ear.lost) == ("aborted", 1)


async def test_what_is_written_in_one_turn_leaves_together() -> None:
    link, _, transport = connected()
    for part in (b"a", b"b", b"c"):
        link.write(part)
    assert transport.written == []
    await asyncio.sleep(0)
    assert transport.written == [b"abc"]


async def test_a_broker_that_falls_silent_is_left() -> None:
    link, ear, transport = connected()
    link.beat(keepalive=60)
    await asyncio.sleep(0)
    assert transport.written == [PINGREQ_PACKET]
    link.heard_at -= 91
    link.beat(keepalive=60)
    assert (transport.ended, ear.lost) == ("aborted", 1)
    assert "silent" in link.lost.result()


async def test_a_pause_in_reading_is_not_taken_for_silence() -> None:
    link, ear, _ = connected()
    link.pause()
    link.heard_at -= 1000
    link.beat(keepalive=60)
    link.resume()
    link.beat(keepalive=60)
    assert ear.lost == 0


async def test_paho_reads_what_was_left_for_it_like_from_a_socket() -> None:
    link, _, transport = connected()
    control = ControlSocket(link)
    with pytest.raises(BlockingIOError):
        control.recv(1)
    control.feed(b"abc")
    assert (control.recv(2), control.recv(2), len(control)) == (b"ab", b"c", 0)
    assert control.send(b"xyz") == 3
    control.close()
    assert (transport.written, transport.ended) == ([b"xyz"], "closed")
