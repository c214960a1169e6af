from __future__ import annotations

from pydantic import SecretStr

from contracts.registry import HEARTBEAT_KEY, ConsentRecord, Heartbeat
from contracts.topics import REGISTRY_CONSENTS
from runtime.compacted import CompactedView
from runtime.settings import KafkaSettings


def view() -> CompactedView[ConsentRecord]:
    settings = KafkaSettings(
        bootstrap="127.0.0.1:1", username="u", password=SecretStr("p"), security="SASL_PLAINTEXT", ca_file=""
    )
    return CompactedView(settings, REGISTRY_CONSENTS, ConsentRecord)


def beat(as_of: int) -> bytes:
    return Heartbeat(as_of=as_of).model_dump_json().encode()


def test_the_last_heartbeat_counts_also_when_the_keepers_clock_was_set_back() -> None:
    following = view()
    following.apply(HEARTBEAT_KEY, beat(2_000_000))
    following.apply(HEARTBEAT_KEY, beat(1_000_000))
    assert following.heartbeat_as_of == 1_000_000
    assert following.heard_at > 0
