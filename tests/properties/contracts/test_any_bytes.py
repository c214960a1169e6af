"""Whatever bytes come from Kafka or from a device: who decodes them gets a value or one kind of error, and nobody is stopped."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import alerts, down, frames, observation, outcomes, quarantine
from contracts.errors import Rejected
from contracts.frames import RawFrame, RawMessage
from contracts.mqtt import parse_up
from contracts.observation import Observation, VitalsFrame
from contracts.outcomes import DeviceOutcome, RawOutcome
from contracts.quarantine import QuarantinedMessage
from contracts.topics import ALERTS, LEDGER, QUARANTINE, REGISTRY_DEVICES, VITALS
from ingest.envelope import message_id
from ingest.errands import errand
from runtime.compacted import CompactedView
from runtime.settings import KafkaSettings
from storage import batch, replay
from streams.rules import state

DECODERS: Mapping[str, Callable[[bytes], object]] = {
    "raw": frames.decode_raw,
    "vitals": observation.decode_vitals,
    "outcome": outcomes.decode_outcome,
    "quarantined": quarantine.decode_quarantined,
    "transition": alerts.decode_transition,
    "command": alerts.decode_command,
    "down record": down.decode_record,
    "receipts": down.decode_receipts,
    "error": down.decode_error,
    "state": state.decode_state,
}
MESSAGE = RawMessage("agora/v1/org/a/up/vitals", b"{}", 1_795_341_600_000_000, b"1", "m", None)
READING = Observation(b"i" * 16, "org", "a", "anna", "8867-4", "", 72.0, "/min", 1, 1, 1, 0)
KEPT = QuarantinedMessage("agora.raw.v1/0/0", 0, "org", "a", "normalise", "clock", "words", "$", "t", b"{}", 1, 1, "1")
GOOD = (
    frames.encode(RawFrame([MESSAGE])),
    frames.encode(VitalsFrame([READING])),
    frames.encode(RawOutcome(0, 0, 0, [DeviceOutcome("org", "a", 1, 0, 1, 0, 0, 1)])),
    frames.encode(KEPT),
    down.encode(down.DownRecord("org", "a", "errors", down.DeviceError("clock", "words"))),
    b'{"alert":"x","subject":"s","rule":"r","at":1,"onset":1,"number":1}',
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.binary(max_size=8),
    st.sampled_from(["x", "\0", "é" * 40]),
)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text("abcorg", max_size=3), inner, max_size=3)),
)
flips = st.tuples(st.sampled_from(GOOD), st.integers(0, 400), st.binary(max_size=3), st.integers(0, 400)).map(
    lambda drawn: (drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] :])[: drawn[3] or None]
)
anything = st.one_of(
    st.binary(max_size=200),
    flips,
    trees.map(msgspec.msgpack.encode),
    st.integers(1, 100_000).map(lambda depth: b"\x91" * depth),
    st.integers(1, 100_000).map(lambda depth: b'{"a":' * depth),
    st.integers(1, 100_000).map(lambda depth: b'{"org":' + b"[" * depth),
    st.sampled_from(
        [b'{"org":"\xff"}', b'{"org":"\\ud800"}', b"\x91\x91\x93\xa1\xff\xc4\x00\x01", b'{"at":1e999}', b"9" * 9_999]
    ),
)


@pytest.mark.parametrize("name", DECODERS)
@given(value=anything)
def test_any_bytes_are_decoded_or_refused_with_the_one_error(name: str, value: bytes) -> None:
    with contextlib.suppress(msgspec.DecodeError):
        DECODERS[name](value)


@given(st.one_of(st.none(), anything))
def test_any_errand_is_run_or_left_out(value: bytes | None) -> None:
    found = errand(value)
    assert found is None or found[0].startswith(b"agora/v1/")


@given(anything)
def test_any_envelope_gives_an_id_or_none(value: bytes) -> None:
    found = message_id(value)
    assert found is None or isinstance(found, str)


@given(st.text(max_size=300))
def test_any_topic_is_read_or_refused(topic: str) -> None:
    with contextlib.suppress(Rejected):
        assert topic == f"agora/v1/{'/'.join(parse_up(topic)[:2])}/up/{parse_up(topic).stream}"


headers = st.lists(
    st.tuples(
        st.sampled_from(["agora-count", "agora-origins", "agora-source", "agora-owned"]),
        st.one_of(st.binary(max_size=12), st.just(b"9" * 5_000)),
    )
)


@given(headers)
def test_any_header_gives_a_count_the_ledger_can_hold(found: Sequence[tuple[str, bytes]]) -> None:
    assert 0 <= frames.count_of(found) < 10**frames.COUNT_DIGITS


@given(headers)
def test_any_header_names_origins_or_is_refused(found: Sequence[tuple[str, bytes]]) -> None:
    with contextlib.suppress(ValueError):
        assert frames.origins_of(found)


@dataclass(frozen=True)
class Record:
    topic: str
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    partition: int = 0
    offset: int = 0
    timestamp: int = 1_795_341_600_000


@given(st.sampled_from([VITALS, LEDGER, QUARANTINE, ALERTS]), st.one_of(st.none(), anything), headers)
def test_any_record_is_taken_by_the_store_or_set_aside_whole(
    topic: Any, value: bytes | None, found: Sequence[tuple[str, bytes]]
) -> None:
    made = batch.decode([Record(topic.name, value, found)], 1)
    assert made.spans == {(topic.name, 0): (0, 1)}
    assert len(made.refusals) + len(made.outcomes) + len(made.vitals) + len(made.alerts) + len(made.set_aside) >= 1


@given(st.one_of(st.none(), st.binary(max_size=8), st.just(b"heartbeat"), st.just(b"org/a")), st.one_of(st.none(), anything))
def test_any_registry_record_is_taken_or_left_out(key: bytes | None, value: bytes | None) -> None:
    from contracts.registry import DeviceRecord

    view = CompactedView(KafkaSettings(bootstrap="nowhere:1", username="u", password="p"), REGISTRY_DEVICES, DeviceRecord)
    view.take(key, value)
    assert len(view.records) <= 1
    assert view.heartbeat_as_of == 0


@given(st.text(max_size=60))
def test_any_coordinates_are_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        replay.raw_coordinates(text)


def test_a_decoder_lets_no_exception_of_python_itself_out() -> None:
    for value in (json.dumps({"org": "x"}).encode()[:-3] + b'\xff"}', b'{"payload":' + b"[" * 100_000):
        with pytest.raises(msgspec.DecodeError):
            down.decode_record(value)
