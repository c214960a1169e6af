"""What each of our processes is told: one file of settings per process, with no more secrets than it needs."""

from __future__ import annotations

import os

from contracts.topics import Principal
from deploy.local import mosquitto
from deploy.local.accounts import caller, write_file
from deploy.local.certificates import Certificates
from deploy.local.credentials import DATABASE_OWNER, MQTT_BRIDGE, MQTT_PROBE, Credentials
from deploy.local.instance import PROCESSES, SERVERS, Instance
from deploy.local.problems import Problem
from deploy.local.servers import Addresses

WITH_DATABASE = ("store", "router", "gateway", "keeper", "operator")
WITH_PSEUDONYMS = ("router", "gateway", "operator")
OWNER = "owner"
"""The schema's owner: for migrations, backup and restore, not for any process that runs."""
PROBE = "probe"
"""Asks the MQTT broker whether it answers."""


def write_all(instance: Instance, credentials: Credentials, certificates: Certificates, addresses: Addresses) -> None:
    """Write the settings of every process, of the operator's commands and of the schema's owner."""
    for name in (*PROCESSES, Principal.OPERATOR.value, OWNER, PROBE):
        settings = settings_of(name, instance, credentials, certificates, addresses)
        content = "".join(f"{key}={value}\n" for key, value in sorted(settings.items()))
        write_file(instance.environments / f"{name}.env", content, caller())


def read(instance: Instance, name: str) -> dict[str, str]:
    """Read the settings of a process.

    Args:
        instance: whose.
        name: a process, ``operator`` or ``owner``.

    Returns:
        Its variables and their values.

    Raises:
        Problem: nothing was started in this instance yet.
    """
    path = instance.environments / f"{name}.env"
    if not path.exists():
        raise Problem(f"the instance {instance.name!r} was never started", "./agora up")
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def settings_of(
    name: str, instance: Instance, credentials: Credentials, certificates: Certificates, addresses: Addresses
) -> dict[str, str]:
    """Give the settings of one process."""
    settings = {"AGORA_INSTANCE": instance.name, "AGORA_PORT_BASE": str(instance.ports.base)}
    if name in PROCESSES:
        settings["AGORA_METRICS_PORT"] = str(instance.ports.metrics(name))
    if name in tuple(Principal):
        settings |= addresses.kafka(name, credentials)
    if name in WITH_DATABASE:
        settings |= addresses.database(f"agora_{name}", credentials)
    if name == OWNER:
        settings |= addresses.database(DATABASE_OWNER, credentials)
    if name in WITH_PSEUDONYMS:
        settings["AGORA_PSEUDONYM_MASTER"] = credentials.pseudonyms["master"]
    return settings | _own_settings(name, instance, credentials, certificates, addresses)


def _own_settings(
    name: str, instance: Instance, credentials: Credentials, certificates: Certificates, addresses: Addresses
) -> dict[str, str]:
    public_url = f"https://localhost:{instance.ports.gateway}"
    match name:
        case "bridge":
            return addresses.mqtt(MQTT_BRIDGE, credentials) | addresses.bridge(credentials) | _disks(instance, addresses)
        case "probe":
            return addresses.mqtt(MQTT_PROBE, credentials)
        case "streams":
            return {"AGORA_STREAMS_DATA_FOLDER": str(instance.data / "streams")}
        case "gateway":
            return {
                "AGORA_GATEWAY_PORT": str(instance.ports.gateway),
                "AGORA_GATEWAY_CERTIFICATE_FILE": str(certificates.gateway),
                "AGORA_GATEWAY_KEY_FILE": str(certificates.gateway.with_suffix(".key")),
                "AGORA_GATEWAY_TOKEN_KEY_FILE": str(certificates.token_key),
                "AGORA_GATEWAY_PUBLIC_URL": public_url,
                "AGORA_GATEWAY_OPERATOR_TOKEN": credentials.gateway["operator_token"],
            }
        case "keeper":
            return {
                "AGORA_KEEPER_BROKER_PASSWORD_FILE": str(mosquitto.password_file(instance)),
                "AGORA_KEEPER_BROKER_PID_FILE": str(mosquitto.pid_file(instance)),
                "AGORA_KEEPER_SERVICE_ACCOUNTS_FILE": str(mosquitto.service_accounts(instance)),
                **addresses.broker_watch(credentials),
                **addresses.keeper_files(),
            }
        case "operator":
            return {
                "AGORA_GATEWAY_PUBLIC_URL": public_url,
                "AGORA_GATEWAY_OPERATOR_TOKEN": credentials.gateway["operator_token"],
                "AGORA_CA_FILE": str(certificates.authority),
                **addresses.public(),
            }
        case _:
            return {}


def _disks(instance: Instance, addresses: Addresses) -> dict[str, str]:
    """Name the folders of the servers started here; where there are none, whoever starts the instance may name others."""
    folders = [str(instance.server_data(name)) for name in SERVERS if name not in addresses.given]
    return {"AGORA_INGEST_DISK_FOLDERS": os.pathsep.join(folders)} if folders else {}
