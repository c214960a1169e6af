from dataclasses import dataclass, field

import msgspec

from contracts.quarantine import QuarantinedMessage
from contracts.topics import QUARANTINE
from storage.batch import decode


@dataclass(frozen=True)
class Record:
    value: bytes
    offset: int
    topic: str = QUARANTINE.name
    partition: int = 0
    timestamp: int = 1_700_000_000_000
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    key: bytes | None = None


def test_messages_the_bridge_refused_are_told_apart_although_no_raw_record_holds_them() -> None:
    refused = QuarantinedMessage(
        source="",
        index=0,
        org="clinic",
        device="holter",
        stage="bridge",
        code="payload-too-large",
        words="too large",
        field="",
        topic="agora/v1/clinic/holter/up/vitals",
        payload=b"",
        received_at=1,
        quarantined_at=1,
        software="0",
    )
    value = msgspec.msgpack.encode(refused)
    batch = decode([Record(value, 4), Record(value, 5)], now=0)
    assert [one.message.source for one in batch.set_aside] == ["agora.quarantine.v1/0/4", "agora.quarantine.v1/0/5"]
