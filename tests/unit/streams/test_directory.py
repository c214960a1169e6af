import tracemalloc

from contracts.errors import Code
from contracts.registry import DeviceRecord
from streams.directory import Directory

REGISTRY = {"org/a": DeviceRecord(org="org", device="a", model="agora-generic")}


def test_topics_from_which_nothing_can_come_are_not_remembered() -> None:
    directory = Directory(REGISTRY.get)
    tracemalloc.start()
    try:
        for number in range(4_000):
            assert directory.route(f"agora/v1/org/a/up/s{number}").code is Code.STREAM_UNKNOWN
            assert directory.route(f"agora/v1/org/a/up/{number}{'x' * 20_000}").code is Code.TOPIC_MALFORMED
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1_000_000


def test_a_device_that_was_unknown_is_known_once_it_is_enrolled() -> None:
    registry: dict[str, DeviceRecord] = {}
    directory = Directory(registry.get)
    assert directory.route("agora/v1/org/a/up/vitals").code is Code.DEVICE_UNKNOWN
    registry |= REGISTRY
    directory.forget("org/a")
    known = directory.route("agora/v1/org/a/up/vitals")
    assert known.decode is not None
    assert directory.route("agora/v1/org/a/up/vitals") is known
