import asyncio

from bench.chain.generator import Connection, Plan, Progress, publish
from bench.chain.workload import Composer
from ingest.packets import PUBACK_HEADER, split

PLAN = Plan(port=0, ca_file="", accounts=(), devices=1, messages=1_000, backlog=300)


class Broker(asyncio.Transport):
    """Acknowledges whatever it gets."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.got = 0
        self._connection = connection

    def write(self, data: bytes | bytearray | memoryview) -> None:
        found = split(bytes(data)).publishes
        self.got += len(found)
        self._connection.data_received(b"".join(PUBACK_HEADER + one.packet_id for one in found))


async def got_after_a_while(broker: Broker) -> int:
    for _ in range(20):
        await asyncio.sleep(0)
    return broker.got


async def test_of_more_than_the_broker_holds_no_more_is_published_than_may_be_on_the_way() -> None:
    connection, so_far = Connection(Composer(range(1), receipts=False), PLAN.messages), Progress()
    connection.transport = broker = Broker(connection)
    publishing = asyncio.create_task(publish(PLAN, [connection], so_far))
    assert await got_after_a_while(broker) == 300
    lines = asyncio.StreamReader()
    lines.feed_data(b"100\n250\n")
    lines.feed_eof()
    await so_far.listen(lines)
    assert await got_after_a_while(broker) == 550
    so_far.stored = 700
    assert (await publishing).sent == PLAN.messages
