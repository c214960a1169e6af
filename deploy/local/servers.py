"""Where the servers are: those started here, or those that exist already and whose addresses were given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.topics import Principal
from deploy.local.credentials import DATABASE_OWNER, MQTT_STANDBY, MQTT_WATCH, Credentials
from deploy.local.instance import Instance
from deploy.local.mosquitto import unix_socket
from deploy.local.postgres import DATABASE
from deploy.local.problems import Problem

REQUIRED = {
    "kafka": ("AGORA_KAFKA_BOOTSTRAP", "AGORA_KAFKA_USERNAME", "AGORA_KAFKA_PASSWORD"),
    "postgres": ("AGORA_DATABASE_HOST", "AGORA_DATABASE_USER", "AGORA_DATABASE_PASSWORD"),
    "mosquitto": ("AGORA_MQTT_HOST", "AGORA_MQTT_CA_FILE", "AGORA_MQTT_USERNAME", "AGORA_MQTT_PASSWORD"),
}
"""By server: the setting that says "use this one", and what else is then needed. Kafka's and the database's account must be able
to administrate: topics, users, rights and the schema are made with it. The MQTT account is the bridge's."""
PREFIXES = {"kafka": "AGORA_KAFKA_", "postgres": "AGORA_DATABASE_", "mosquitto": "AGORA_MQTT_"}
KEEPER_FILES = ("AGORA_KEEPER_BROKER_PASSWORD_FILE", "AGORA_KEEPER_BROKER_PID_FILE")
"""Needed too where the MQTT broker exists already: its password file and process id, which the keeper writes to and signals."""


@dataclass(frozen=True)
class Addresses:
    """How to reach the servers of an instance.

    Attributes:
        instance: whose.
        authority: the local certificate authority.
        given: by server that exists already, the settings that were given for it.
    """

    instance: Instance
    authority: Path
    given: Mapping[str, dict[str, str]]

    @classmethod
    def find(cls, instance: Instance, authority: Path, environment: Mapping[str, str] | None = None) -> Addresses:
        """Look in the environment for servers that exist already.

        Raises:
            Problem: an address was given without what else is needed.
        """
        variables = os.environ if environment is None else environment
        given = {}
        for server, (address, *others) in REQUIRED.items():
            if not variables.get(address) or _is_own(instance, variables):
                continue
            missing = [name for name in others if not variables.get(name)]
            if missing:
                raise Problem(
                    f"{address} is given, but not {', '.join(missing)}",
                    f"Give them too, or unset {address} to start a server here.",
                )
            given[server] = {key: value for key, value in variables.items() if key.startswith(PREFIXES[server])}
        if "mosquitto" in given:
            given["mosquitto"] |= {name: variables[name] for name in KEEPER_FILES if variables.get(name)}
        return cls(instance, authority, given)

    def kafka(self, user: str, credentials: Credentials) -> dict[str, str]:
        """Give a Kafka user's settings."""
        own = {
            "AGORA_KAFKA_BOOTSTRAP": f"127.0.0.1:{self.instance.ports.kafka_internal}",
            "AGORA_KAFKA_SECURITY": "SASL_PLAINTEXT",
            "AGORA_KAFKA_CA_FILE": str(self.authority),
        }
        login = {"AGORA_KAFKA_USERNAME": user, "AGORA_KAFKA_PASSWORD": credentials.kafka[user]}
        administrator = self.given.get("kafka", {}) if user == Principal.OPERATOR else {}
        return own | self.given.get("kafka", {}) | login | administrator

    def database(self, role: str, credentials: Credentials) -> dict[str, str]:
        """Give a database role's settings."""
        own = {
            "AGORA_DATABASE_HOST": "127.0.0.1",
            "AGORA_DATABASE_PORT": str(self.instance.ports.postgres),
            "AGORA_DATABASE_NAME": DATABASE,
        }
        login = {"AGORA_DATABASE_USER": role, "AGORA_DATABASE_PASSWORD": credentials.database[role]}
        owner = self.given.get("postgres", {}) if role == DATABASE_OWNER else {}
        return own | self.given.get("postgres", {}) | login | owner

    def mqtt(self, account: str, credentials: Credentials) -> dict[str, str]:
        """Give the settings of a service account of the MQTT broker."""
        login = {"AGORA_MQTT_USERNAME": account, "AGORA_MQTT_PASSWORD": credentials.mqtt[account]}
        return self._mqtt_address() | login | self.given.get("mosquitto", {})

    def bridge(self, credentials: Credentials) -> dict[str, str]:
        """Give a bridge the short way to our own broker, and the account for standing by; there is neither at another one."""
        if "mosquitto" in self.given:
            return {}
        socket = unix_socket(self.instance)
        short = {"AGORA_INGEST_BROKER_SOCKET": str(socket)} if socket else {}
        return short | {
            "AGORA_INGEST_STANDBY_USERNAME": MQTT_STANDBY,
            "AGORA_INGEST_STANDBY_PASSWORD": credentials.mqtt[MQTT_STANDBY],
        }

    def public(self) -> dict[str, str]:
        """Give the addresses that devices and apps are told."""
        given = {key: value for key, value in self.given.get("mosquitto", {}).items() if key in self._mqtt_address()}
        apps = self.given.get("kafka", {}).get("AGORA_KAFKA_APPS_BOOTSTRAP", f"localhost:{self.instance.ports.kafka_apps}")
        return self._mqtt_address() | given | {"AGORA_KAFKA_APPS_BOOTSTRAP": apps}

    def keeper_files(self) -> dict[str, str]:
        """Give the files of an MQTT broker that exists already, for the keeper."""
        return {key: value for key, value in self.given.get("mosquitto", {}).items() if key in KEEPER_FILES}

    def broker_watch(self, credentials: Credentials) -> dict[str, str]:
        """Give the keeper's way to the broker's statistics; a broker that existed before has no account for it unless told."""
        if "mosquitto" in self.given:
            return {}
        return {
            "AGORA_KEEPER_BROKER_HOST": "localhost",
            "AGORA_KEEPER_BROKER_PORT": str(self.instance.ports.mqtt),
            "AGORA_KEEPER_BROKER_CA_FILE": str(self.authority),
            "AGORA_KEEPER_BROKER_USERNAME": MQTT_WATCH,
            "AGORA_KEEPER_BROKER_PASSWORD": credentials.mqtt[MQTT_WATCH],
        }

    def _mqtt_address(self) -> dict[str, str]:
        return {
            "AGORA_MQTT_HOST": "localhost",
            "AGORA_MQTT_PORT": str(self.instance.ports.mqtt),
            "AGORA_MQTT_CA_FILE": str(self.authority),
        }


def _is_own(instance: Instance, variables: Mapping[str, str]) -> bool:
    """Say whether the settings are those of a process of an instance here, which a person may have read into a shell."""
    return (
        bool(variables.get("AGORA_METRICS_PORT"))
        or variables.get("AGORA_KAFKA_BOOTSTRAP") == f"127.0.0.1:{instance.ports.kafka_internal}"
    )
