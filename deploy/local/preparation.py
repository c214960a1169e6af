"""All that must be on disk before the servers start: folders, secrets, certificates, configuration, settings of our processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local import certificates, credentials, environment
from deploy.local.accounts import make_instance_folders, make_state_folder, server_account
from deploy.local.child import Command
from deploy.local.credentials import Credentials
from deploy.local.instance import SERVERS, Instance
from deploy.local.kafka import Kafka
from deploy.local.mosquitto import Mosquitto
from deploy.local.postgres import Postgres
from deploy.local.profiles import chosen
from deploy.local.servers import Addresses
from deploy.local.software import Progress, Software, install


@dataclass(frozen=True)
class Prepared:
    """What the start goes on with.

    Attributes:
        commands: by server, in the order of the start; only those that are started here.
        secrets: all secrets.
        software: the servers' programs.
    """

    commands: Mapping[str, Command]
    secrets: Credentials
    software: Software


def local_servers(instance: Instance) -> list[str]:
    """List the servers to be started here: all but those whose addresses were given."""
    given = Addresses.find(instance, instance.certificates / "ca.pem").given
    return [name for name in SERVERS if name not in given]


def get_software(instance: Instance, progress: Progress) -> Software:
    """Make the folders and get the servers' programs, the first time by download."""
    make_state_folder(instance)
    make_instance_folders(instance, server_account(instance))
    local = local_servers(instance)
    return install(instance, progress, kafka="kafka" in local, postgres="postgres" in local, mosquitto="mosquitto" in local)


def server_ports(instance: Instance, local: list[str]) -> dict[str, int]:
    """Give the ports that the servers started here will open, by what each is for."""
    ports = instance.ports
    wanted = {
        "postgres": {"PostgreSQL": ports.postgres},
        "kafka": {
            "Kafka": ports.kafka_internal,
            "Kafka's controller": ports.kafka_controller,
            "Kafka for apps": ports.kafka_apps,
        },
        "mosquitto": {"the MQTT broker": ports.mqtt},
    }
    return {what: port for name in local for what, port in wanted[name].items()}


def prepare(instance: Instance, software: Software, progress: Progress) -> Prepared:
    """Write everything; what is there and good stays.

    Args:
        instance: whose folders.
        software: the servers' programs.
        progress: told each step as it begins.

    Returns:
        The servers' commands and the secrets.

    Raises:
        Problem: something is in the way.
    """
    account = server_account(instance)
    profile = chosen()
    local = local_servers(instance)
    progress("credentials and certificates")
    secrets = credentials.load_or_make(instance)
    certificate_files = certificates.ensure(instance, account)
    environment.write_all(instance, secrets, certificate_files, Addresses.find(instance, certificate_files.authority))
    commands = {}
    if "postgres" in local:
        progress("PostgreSQL: configuration")
        postgres = Postgres(instance, account, software)
        postgres.configure(secrets, profile)
        commands["postgres"] = postgres.command()
    if "kafka" in local:
        progress("Kafka: configuration")
        kafka = Kafka(instance, account, software)
        kafka.configure(secrets, certificate_files, profile)
        commands["kafka"] = kafka.command()
    if "mosquitto" in local:
        progress("mosquitto: configuration")
        mosquitto = Mosquitto(instance, account, software)
        mosquitto.configure(secrets, certificate_files, profile)
        commands["mosquitto"] = mosquitto.command()
    return Prepared(commands, secrets, software)
