"""Settings of the keeper."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class KeeperSettings(BaseSettings):
    """What the keeper needs beside Kafka and the database (``AGORA_KEEPER_…``)."""

    model_config = SettingsConfigDict(env_prefix="AGORA_KEEPER_", frozen=True)
    broker_password_file: Path = Field(description="mosquitto's password file, written by the keeper alone")
    broker_pid_file: Path | None = Field(
        None, description="file with mosquitto's process id, for the signal to read passwords again; none: somebody else does it"
    )
    service_accounts_file: Path = Field(
        description="password lines of the platform's own accounts, kept in front of the devices'"
    )
    broker_host: str = Field("localhost", description="host of the MQTT broker, as its certificate names it")
    broker_port: int = Field(8883, ge=1, le=65535, description="its TLS port")
    broker_ca_file: str = Field("", description="PEM of the authority that signed the broker's certificate")
    broker_username: str = Field(
        "", description="account that may read $SYS/broker/#; without it nobody is told what the broker drops"
    )
    broker_password: SecretStr = Field(SecretStr(""), description="its password")
    hole_seconds: float = Field(
        20.0, ge=1, description="how long a record must be missing in the ledger, with later ones there, before it is sent again"
    )
    watch_seconds: float = Field(3.0, gt=0, description="pause between two looks at the ledger")
    apps_seconds: float = Field(
        15.0, gt=0, description="pause between two looks at the apps' rights in Kafka, beside every change"
    )
    outbox_days: float = Field(30.0, gt=0, description="how long superseded and published records stay in the outbox")
    ledger_days: float = Field(400.0, gt=0, description="how long the ledger keeps a row per raw record; sums per device stay")
