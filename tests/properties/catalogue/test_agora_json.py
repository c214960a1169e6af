from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from catalogue.formats.agora_json import decode
from catalogue.formats.agora_json_careful import decode_carefully
from catalogue.formats.decoded import Decoded
from contracts.errors import Code, Rejected
from contracts.instants import to_text

FIELDS = [
    "message_id",
    "sequence",
    "time",
    "test",
    "readings",
    "code",
    "value",
    "unit",
    "components",
    "site",
    "estimated",
    "battery",
]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["8867-4", "85354-9", "/min", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00"]),
)
objects = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6)),
    max_leaves=20,
)
values = st.floats(allow_nan=False, allow_infinity=False)
readings = st.fixed_dictionaries(
    {"code": st.sampled_from(["8867-4", "59408-5"]), "value": values, "unit": st.sampled_from(["/min", "%", '"', "é"])},
    optional={
        "time": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
        "sequence": st.integers(0, 2**63 - 1),
        "site": st.sampled_from(["left", "right-arm"]),
        "estimated": st.booleans(),
    },
)
plain_readings = st.fixed_dictionaries(
    {"code": st.sampled_from(["8867-4", "8310-5"]), "value": values, "unit": st.sampled_from(["/min", "[degF]", '"'])}
)


def messages_of(kind: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    required: dict[str, st.SearchStrategy[Any]] = {
        "time": st.integers(0, 2_000_000_000_000_000).map(to_text),
        "readings": st.lists(kind, min_size=1, max_size=5),
    }
    optional: dict[str, st.SearchStrategy[Any]] = {
        "message_id": st.text(st.characters(codec="utf-8"), min_size=1, max_size=64),
        "sequence": st.integers(0, 2**63 - 1),
        "test": st.booleans(),
    }
    return st.fixed_dictionaries(required, optional=optional)


messages = st.one_of(messages_of(readings), messages_of(plain_readings))


def tried(payload: bytes) -> Decoded | Rejected:
    try:
        return decode(payload)
    except Rejected as refused:
        return refused


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused_with_words(payload: bytes) -> None:
    found = tried(payload)
    assert isinstance(found, Decoded) or (found.code in Code and found.words)


@given(objects, st.booleans())
def test_any_json_is_read_or_refused(tree: object, ascii_only: bool) -> None:
    tried(json.dumps(tree, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))


@given(messages, st.randoms(use_true_random=False))
def test_cut_or_flipped_messages_are_read_or_refused(message: dict[str, object], chance: random.Random) -> None:
    payload = bytearray(json.dumps(message).encode())
    payload[chance.randrange(len(payload))] = chance.randrange(256)
    found = tried(bytes(payload))
    assert isinstance(found, Rejected) or found == decode_carefully(bytes(payload))
    tried(bytes(payload[: chance.randrange(len(payload))]))


@given(messages, st.booleans(), st.sampled_from([None, 1]))
def test_the_fast_and_the_careful_way_agree(message: dict[str, object], ascii_only: bool, indent: int | None) -> None:
    payload = json.dumps(message, ensure_ascii=ascii_only, indent=indent).encode()
    fast = tried(payload)
    assert isinstance(fast, Decoded)
    assert fast == decode_carefully(payload)
    assert [one.value for one in fast.readings] == [one["value"] for one in message["readings"]]  # type: ignore[attr-defined]


@given(messages, st.data())
def test_a_repeated_key_is_always_found(message: dict[str, object], data: st.DataObject) -> None:
    text = json.dumps(message)
    name = data.draw(st.sampled_from(sorted(message)))
    again = f'{{"{name}"{data.draw(st.sampled_from(["", " "]))}:{json.dumps(message[name])},{text[1:]}'
    refused = tried(again.encode())
    assert isinstance(refused, Rejected)
    assert refused.code is Code.PAYLOAD_INVALID
    assert refused.field == f"$.{name}"
