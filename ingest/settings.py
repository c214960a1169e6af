"""Settings of the bridge (``AGORA_INGEST_…``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingest.framing import MAX_MESSAGE_BYTES


class IngestSettings(BaseSettings):
    """How much the bridge takes on, and how it gathers it."""

    model_config = SettingsConfigDict(env_prefix="AGORA_INGEST_", env_ignore_empty=True, frozen=True)
    client_id: str = Field(
        "agora-bridge", min_length=1, description="MQTT client id, under which the broker keeps what is unacknowledged"
    )
    broker_socket: Path | None = Field(
        None, description="Unix socket of a broker on this machine, instead of TLS to AGORA_MQTT_HOST: it costs less a message"
    )
    session_expiry_seconds: int = Field(
        7 * 24 * 3600, ge=60, le=0xFFFFFFFE, description="how long the broker keeps the session while no bridge is connected"
    )
    keepalive_seconds: int = Field(30, ge=2, le=3600, description="MQTT keepalive, how long either side may be silent")
    receive_maximum: int = Field(
        20_000, ge=1, le=65_535, description="messages the broker sends ahead of our acknowledgements (MQTT 5 Receive Maximum)"
    )
    unconfirmed_bytes: int = Field(
        64 * 1024 * 1024, ge=1024 * 1024, description="bytes waiting for Kafka above which nothing more is read"
    )
    frame_bytes: int = Field(
        MAX_MESSAGE_BYTES, ge=4096, le=MAX_MESSAGE_BYTES, description="most bytes of a frame; a longer message is refused"
    )
    frame_messages: int = Field(500, ge=1, le=10_000, description="most messages of a frame")
    frame_interval_ms: int = Field(
        25,
        ge=0,
        le=1000,
        description="time between two beats at which frames leave; up to 100 when more than 160 messages come in it",
    )
    quota_messages_per_second: float = Field(
        100.0, gt=0, le=1e9, description="messages a second that are taken from one device over time; what is beyond is refused"
    )
    quota_burst_messages: int = Field(
        20_000, ge=1, le=10**9, description="messages taken from one device at once, as after an outage of it or of the platform"
    )
    quota_bytes_per_second: float = Field(
        1024.0 * 1024, gt=0, le=1e12, description="bytes a second that are taken from one device over time"
    )
    quota_burst_bytes: int = Field(
        64 * 1024 * 1024, ge=MAX_MESSAGE_BYTES, le=10**12, description="bytes taken from one device at once"
    )
    drain_seconds: float = Field(10.0, gt=0, description="longest time between SIGTERM and the end of the process")
    disk_folders: str = Field(
        "",
        description="the folders Kafka, the database and the MQTT broker write in, several separated by colons; "
        "while the disk of one is nearly full, nothing more is read",
    )
    disk_folder: Path | None = Field(None, description="one more such folder, beside those `./agora up` knows of")
    disk_least_mib: int = Field(1024, ge=1, description="MiB that must be free on the disk of each")
    standby: bool = Field(False, description="begin as the second bridge, which takes over when the first falls silent")
    standby_username: str = Field("", description="MQTT account that may read the active bridge's beats, for standing by")
    standby_password: SecretStr = Field(SecretStr(""), description="its password")
    standby_after_seconds: float = Field(
        5.0, ge=3.0, le=600, description="silence of the active bridge after which the one that stands by takes over"
    )

    @property
    def watched_folders(self) -> tuple[Path, ...]:
        """The folders whose disks must have room."""
        folders = [Path(folder) for folder in self.disk_folders.split(os.pathsep) if folder]
        return (*folders, self.disk_folder) if self.disk_folder else tuple(folders)

    @model_validator(mode="after")
    def _needs_an_account(self) -> Self:
        if self.standby and not self.standby_username:
            raise ValueError("AGORA_INGEST_STANDBY needs AGORA_INGEST_STANDBY_USERNAME and its password")
        return self
