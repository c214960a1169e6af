"""Two equal processes come by links of their own, and each link of the plan runs through a proxy."""

import pytest

from bench.chaos.plan import LINKS, PROCESSES
from bench.chaos.wiring import Wiring, advertised
from deploy.local.instance import PROCESSES as KINDS
from deploy.local.instance import Instance

PORTS = ("AGORA_KAFKA_BOOTSTRAP", "AGORA_DATABASE_PORT", "AGORA_MQTT_PORT")


@pytest.mark.parametrize("name", LINKS)
def test_each_link_runs_through_one_proxy(name: str) -> None:
    assert len(Wiring(Instance.of("unit", 21000)).link(name).proxies) == 1


@pytest.mark.parametrize("names", [names for part, names in PROCESSES.items() if part in KINDS and len(names) == 2])
def test_two_equal_processes_share_no_way(names: tuple[str, str]) -> None:
    wiring = Wiring(Instance.of("unit", 21000))
    one, other = (wiring.settings(name) for name in names)
    assert one.keys() == other.keys()
    assert not [name for name in PORTS if name in one and one[name] == other[name]]


def test_kafka_tells_each_of_its_listeners_clients_their_own_proxy() -> None:
    found = advertised(
        "listeners=INTERNAL://127.0.0.1:1,APPS://127.0.0.1:2\nadvertised.listeners=INTERNAL://127.0.0.1:1,APPS://localhost:2\n"
        "listener.name.internal.login=secret\n",
        100,
    )
    assert found.splitlines() == [
        "listeners=INTERNAL://127.0.0.1:1,APPS://127.0.0.1:2,SECOND://127.0.0.1:178",
        "advertised.listeners=INTERNAL://127.0.0.1:167,SECOND://127.0.0.1:177,APPS://localhost:2",
        "listener.name.second.login=secret",
        "listener.name.internal.login=secret",
    ]
