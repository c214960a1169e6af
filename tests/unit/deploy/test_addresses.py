from pathlib import Path

import pytest

from deploy.local import credentials
from deploy.local.instance import Instance
from deploy.local.problems import Problem
from deploy.local.servers import Addresses

KAFKA = {"AGORA_KAFKA_BOOTSTRAP": "kafka.example:9092", "AGORA_KAFKA_USERNAME": "root", "AGORA_KAFKA_PASSWORD": "secret"}
BROKER = {
    "AGORA_MQTT_HOST": "mqtt.example",
    "AGORA_MQTT_CA_FILE": "/etc/ca.pem",
    "AGORA_MQTT_USERNAME": "bridge",
    "AGORA_MQTT_PASSWORD": "secret",
}


def find(instance: Instance, given: dict[str, str]) -> Addresses:
    return Addresses.find(instance, instance.certificates / "ca.pem", given)


def test_without_addresses_every_server_is_on_this_machine(instance: Instance) -> None:
    secrets = credentials.load_or_make(instance)
    addresses = find(instance, {})
    assert addresses.given == {}
    assert addresses.kafka("store", secrets)["AGORA_KAFKA_BOOTSTRAP"] == "127.0.0.1:29092"
    assert addresses.database("agora_store", secrets)["AGORA_DATABASE_PORT"] == "29032"
    assert addresses.mqtt("agora-bridge", secrets)["AGORA_MQTT_PORT"] == "29083"


def test_a_kafka_that_exists_is_used_with_our_own_users(instance: Instance) -> None:
    secrets = credentials.load_or_make(instance)
    addresses = find(instance, KAFKA)
    store, operator = addresses.kafka("store", secrets), addresses.kafka("operator", secrets)
    assert store["AGORA_KAFKA_BOOTSTRAP"] == operator["AGORA_KAFKA_BOOTSTRAP"] == "kafka.example:9092"
    assert (store["AGORA_KAFKA_USERNAME"], store["AGORA_KAFKA_PASSWORD"]) == ("store", secrets.kafka["store"])
    assert operator["AGORA_KAFKA_USERNAME"] == "root"


def test_the_bridge_uses_the_account_that_was_given_with_the_broker(instance: Instance) -> None:
    addresses = find(instance, BROKER)
    told = addresses.mqtt("agora-bridge", credentials.load_or_make(instance))
    assert (told["AGORA_MQTT_HOST"], told["AGORA_MQTT_USERNAME"]) == ("mqtt.example", "bridge")
    assert addresses.public()["AGORA_MQTT_HOST"] == "mqtt.example"
    assert "AGORA_MQTT_PASSWORD" not in addresses.public()


def test_the_bridge_has_a_short_way_to_our_own_broker_only_and_only_where_a_socket_can_be(instance: Instance) -> None:
    secrets = credentials.load_or_make(instance)
    near = Instance(instance.name, instance.ports, Path("/tmp"))
    far = Instance(instance.name, instance.ports, Path("/tmp") / ("x" * 100))
    assert find(near, {}).bridge(secrets)["AGORA_INGEST_BROKER_SOCKET"] == str(near.data / "mosquitto" / "socket")
    without = Instance(instance.name, instance.ports, Path("/proc/self"))
    assert "AGORA_INGEST_BROKER_SOCKET" not in find(far, {}).bridge(secrets)
    assert "AGORA_INGEST_BROKER_SOCKET" not in find(without, {}).bridge(secrets)
    assert find(near, BROKER).bridge(secrets) == {}


def test_an_address_without_an_account_says_what_is_missing(instance: Instance) -> None:
    with pytest.raises(Problem, match="AGORA_DATABASE_USER, AGORA_DATABASE_PASSWORD"):
        find(instance, {"AGORA_DATABASE_HOST": "db.example"})


def test_the_settings_of_a_process_read_into_a_shell_are_not_taken_for_servers_of_somebody_else(instance: Instance) -> None:
    own = {"AGORA_METRICS_PORT": "29051", **KAFKA}
    assert find(instance, own).given == {}
