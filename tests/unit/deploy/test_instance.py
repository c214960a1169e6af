from pathlib import Path

import pytest

from deploy.local.instance import PROCESSES, Instance
from deploy.local.problems import Problem


def test_an_instance_takes_name_and_ports_from_the_environment() -> None:
    instance = Instance.of(environment={"AGORA_INSTANCE": "second", "AGORA_PORT_BASE": "24000"})
    assert (instance.name, instance.ports.mqtt) == ("second", 24083)


def test_the_first_instance_and_the_tests_have_ports_of_their_own() -> None:
    assert Instance.of(environment={}).ports.base == 21000
    assert Instance.of("test", environment={}).ports.base == 22000


def test_no_two_things_share_a_port() -> None:
    ports = list(Instance.of(environment={}).ports.named().values())
    assert len(set(ports)) == len(ports) == 6 + len(PROCESSES)


@pytest.mark.parametrize("name", ["Main", "two words", "../x", "-x", "x" * 33, "software"])
def test_a_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    with pytest.raises(Problem, match="cannot name an instance"):
        Instance.of(name, 24000)


def test_a_new_instance_has_to_say_where_its_ports_begin() -> None:
    with pytest.raises(Problem, match="AGORA_PORT_BASE=27000"):
        Instance.of("third", environment={})


@pytest.mark.parametrize("base", ["80", "65500", "many", "-1"])
def test_a_port_base_that_cannot_be_used_is_refused(base: str) -> None:
    with pytest.raises(Problem, match="AGORA_PORT_BASE"):
        Instance.of(environment={"AGORA_PORT_BASE": base})


def test_servers_are_given_the_real_folder_and_not_the_link_in_the_checkout(tmp_path: Path) -> None:
    real = tmp_path / "real place"
    real.mkdir()
    link = tmp_path / "link"
    link.symlink_to(real)
    instance = Instance("main", Instance.of(environment={}).ports, link)
    assert instance.data == real / "main" / "data"


def test_one_beside_another_has_a_name_and_ports_of_its_own() -> None:
    alone = Instance.beside("chaos", 23000, 700, {})
    assert (alone.name, alone.ports.base) == ("chaos", 23000)
    beside = Instance.beside("chaos", 23000, 700, {"AGORA_INSTANCE": "second", "AGORA_PORT_BASE": "25000"})
    assert (beside.name, beside.ports.base) == ("second-chaos", 25700)
