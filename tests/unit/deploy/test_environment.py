from deploy.local import certificates, credentials, environment
from deploy.local.accounts import caller
from deploy.local.instance import Instance
from deploy.local.servers import Addresses

KAFKA = {"AGORA_KAFKA_BOOTSTRAP": "kafka.example:9092", "AGORA_KAFKA_USERNAME": "root", "AGORA_KAFKA_PASSWORD": "secret"}
DATABASE = {"AGORA_DATABASE_HOST": "db.example", "AGORA_DATABASE_USER": "root", "AGORA_DATABASE_PASSWORD": "secret"}
BROKER = {
    "AGORA_MQTT_HOST": "mqtt.example",
    "AGORA_MQTT_CA_FILE": "/etc/ca.pem",
    "AGORA_MQTT_USERNAME": "bridge",
    "AGORA_MQTT_PASSWORD": "secret",
}


def bridge(instance: Instance, given: dict[str, str]) -> dict[str, str]:
    files = certificates.ensure(instance, caller())
    addresses = Addresses.find(instance, files.authority, given)
    return environment.settings_of("bridge", instance, credentials.load_or_make(instance), files, addresses)


def test_the_bridge_watches_the_disk_of_every_server_that_is_started_here(instance: Instance) -> None:
    folders = [str(instance.data / server) for server in ("postgres", "kafka", "mosquitto")]
    assert bridge(instance, {})["AGORA_INGEST_DISK_FOLDERS"].split(":") == folders
    assert bridge(instance, KAFKA)["AGORA_INGEST_DISK_FOLDERS"].split(":") == [folders[0], folders[2]]


def test_where_all_servers_are_elsewhere_whoever_starts_the_bridge_names_the_folders(instance: Instance) -> None:
    assert "AGORA_INGEST_DISK_FOLDERS" not in bridge(instance, KAFKA | DATABASE | BROKER)
