import tracemalloc

import pytest

from contracts.ids import partition_of
from contracts.mqtt import up_topic
from contracts.topics import QUARANTINE, RAW
from ingest.routes import Routes, route


def test_a_device_has_one_partition_whatever_its_stream() -> None:
    one, other = (route(up_topic("sme-a", "cuff-1", stream).encode()) for stream in ("vitals", "waveform"))
    assert one.partition == other.partition == partition_of("sme-a/cuff-1", RAW.partitions)
    assert (one.org, one.device, one.stream, one.key) == ("sme-a", "cuff-1", "vitals", "sme-a/cuff-1")


def test_a_device_is_answered_on_its_own_topics_only() -> None:
    found = route(b"agora/v1/sme-a/cuff-1/up/vitals")
    assert (found.receipts, found.errors) == (b"agora/v1/sme-a/cuff-1/down/receipts", b"agora/v1/sme-a/cuff-1/down/errors")


def test_a_deeper_topic_still_belongs_to_its_device() -> None:
    found = route(b"agora/v1/sme-a/cuff-1/up/vitals/deeper")
    assert (found.key, found.stream) == ("sme-a/cuff-1", "vitals/deeper")
    assert found.receipts


@pytest.mark.parametrize("topic", [b"agora/v1/SME/cuff/up/vitals", b"agora", b"agora/v1/a//up/x", b"\xff\xfe"])
def test_a_topic_that_names_no_device_is_routed_but_never_answered(topic: bytes) -> None:
    found = route(topic)
    assert (found.org, found.device, found.receipts, found.errors) == ("", "", b"", b"")
    assert 0 <= found.partition < RAW.partitions


def test_the_memory_of_routes_is_bounded() -> None:
    routes = Routes(remembered=2)
    for number in range(5):
        assert routes.of(f"agora/v1/a/d{number}/up/vitals".encode()).device == f"d{number}"
    assert len(routes._routes) <= 2


def test_raw_and_quarantine_have_the_same_partitions() -> None:
    assert RAW.partitions == QUARANTINE.partitions


def test_a_topic_longer_than_any_of_ours_is_routed_but_not_remembered() -> None:
    routes = Routes()
    for number in range(5):
        assert routes.of(f"agora/v1/a/d/up/{number}{'x' * 300}".encode()).device == "d"
    assert routes._routes == {}


def test_a_device_that_makes_topics_up_fills_no_memory_with_them() -> None:
    routes = Routes()
    tracemalloc.start()
    try:
        for number in range(4_000):
            routes.of(f"agora/v1/sme-a/cuff-1/up/{number}{'x' * 20_000}".encode())
            routes.of(f"agora/v1/sme-a/cuff-1/up/s{number}".encode())
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1_000_000
    assert routes.of(b"agora/v1/sme-a/cuff-2/up/vitals") is routes.of(b"agora/v1/sme-a/cuff-2/up/vitals")
