"""The secrets of an instance: random, made once at the first start, kept in one file that only the caller can read."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from contracts.topics import Principal
from deploy.local.accounts import caller, write_file
from deploy.local.instance import Instance

KAFKA_BROKER = "broker"
KAFKA_USERS = (KAFKA_BROKER, *(principal.value for principal in Principal))
DATABASE_OWNER = "agora_owner"
DATABASE_ROLES = (DATABASE_OWNER, "agora_store", "agora_router", "agora_gateway", "agora_keeper", "agora_operator")
MQTT_BRIDGE = "agora-bridge"
MQTT_PROBE = "agora-probe"
"""Asks only whether the broker answers; it has no rights. Not the bridge's account, whose session a second client would end."""
MQTT_STANDBY = "agora-standby"
"""Hears only whether the bridge beats, for a second bridge that stands by."""
MQTT_WATCH = "agora-watch"
"""The keeper's: reads the broker's statistics and nothing else."""
SECRET_BYTES = 24
MASTER_BYTES = 32


@dataclass(frozen=True)
class Credentials:
    """All secrets of an instance.

    Attributes:
        kafka: password by Kafka user.
        database: password by database role.
        mqtt: password by the MQTT broker's service account.
        gateway: the operator's token for the gateway, under ``operator_token``.
        pseudonyms: the key all pseudonyms derive from, in hex, under ``master``.
    """

    kafka: Mapping[str, str]
    database: Mapping[str, str]
    mqtt: Mapping[str, str]
    gateway: Mapping[str, str]
    pseudonyms: Mapping[str, str]

    def __repr__(self) -> str:
        """Say nothing: secrets must not come into a log by way of a message."""
        return "Credentials(…)"


def load_or_make(instance: Instance) -> Credentials:
    """Read the secrets; make the ones that are not there yet."""
    path = instance.credentials / "secrets.json"
    known: dict[str, dict[str, str]] = json.loads(path.read_text()) if path.exists() else {}
    credentials = Credentials(
        kafka=_complete(known.get("kafka", {}), KAFKA_USERS),
        database=_complete(known.get("database", {}), DATABASE_ROLES),
        mqtt=_complete(known.get("mqtt", {}), (MQTT_BRIDGE, MQTT_PROBE, MQTT_STANDBY, MQTT_WATCH)),
        gateway=_complete(known.get("gateway", {}), ("operator_token",)),
        pseudonyms=known.get("pseudonyms") or {"master": secrets.token_hex(MASTER_BYTES)},
    )
    if known != asdict(credentials):
        write_file(path, json.dumps(asdict(credentials), indent=1), caller())
    return credentials


def _complete(known: dict[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return known | {name: secrets.token_urlsafe(SECRET_BYTES) for name in names if name not in known}
