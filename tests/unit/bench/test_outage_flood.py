import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

from bench.outage.flood import MOST_TIMES, Flooder
from bench.outage.load import Ear, Load, Sender
from bench.wire import Session
from contracts.errors import Code
from ingest.quota import QuotaLimits, Quotas
from ingest.settings import IngestSettings
from simulators.connection import BrokerAddress
from simulators.patients import DeviceCredential

QUOTA = IngestSettings(quota_messages_per_second=100.0, quota_burst_messages=500)
Answer = Callable[[Ear, bytes], None]


class Answered(Session):
    """A session whose messages are answered at once."""

    def __init__(self, ear: Ear, name: str, answer: Answer) -> None:
        credential = DeviceCredential(org="clinic", device=name, model="agora-generic", password="secret", subject="")
        address = BrokerAddress("localhost", 1, Path("ca.pem"))
        super().__init__(address, ssl.create_default_context(), credential, ear)
        self._ear = ear
        self._answer = answer

    def publish(self, stream: str, payload: bytes, correlation: bytes) -> None:
        self._answer(self._ear, correlation)

    async def drain(self) -> None:
        """The socket has room."""


def device(name: str, answer: Answer, careful: bool = False) -> tuple[Sender, Ear]:
    ear = Ear()
    ear.sender = Sender(Answered(ear, name, answer), careful, floods=name == "flooder")
    return ear.sender, ear


def receipted(ear: Ear, correlation: bytes) -> None:
    ear.receipted(correlation)


def within_quota() -> Answer:
    quotas = Quotas(QuotaLimits(QUOTA.quota_messages_per_second, QUOTA.quota_burst_messages))

    def answer(ear: Ear, correlation: bytes) -> None:
        if quotas.admits("clinic/flooder", 1, asyncio.get_running_loop().time()):
            ear.receipted(correlation)
        else:
            ear.refused(correlation, Code.RATE_EXCEEDED)

    return answer


async def test_a_device_floods_until_it_is_told_and_goes_on_and_gets_what_its_quota_allows() -> None:
    sender, ear = device("flooder", within_quota())
    flooder = Flooder(sender, ear, QUOTA)
    await flooder.flood(0.3)
    found = flooder.found({})
    assert found.told_after is not None
    assert found.seconds > found.told_after
    assert 0 < found.times <= MOST_TIMES * 1.1
    assert QUOTA.quota_burst_messages <= len(sender.receipted) <= found.most
    assert found.sent == len(sender.receipted) + found.told[Code.RATE_EXCEEDED]
    assert found.told.keys() == {Code.RATE_EXCEEDED}


async def test_every_device_says_a_last_word_and_the_run_ends_with_the_last_receipt() -> None:
    senders = [device("careful-0", receipted, careful=True)[0], device("careless-0", receipted)[0]]
    silent, _ = device("flooder", lambda ear, correlation: None)
    assert await Load(senders, 1.0, silent).insist(0.01) is False
    assert [len(one.receipted) for one in (*senders, silent)] == [1, 1, 0]
    assert silent.waiting == 1
    assert await Load(senders, 1.0).insist(0.01) is True
