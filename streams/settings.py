"""Settings of the streams process (``AGORA_STREAMS_…``)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class StreamsSettings(BaseSettings):
    """What the Faust worker needs beside Kafka's address."""

    model_config = SettingsConfigDict(env_prefix="AGORA_STREAMS_", frozen=True)
    data_folder: Path = Field(description="folder that Faust asks for; nothing in it needs to be kept")
    in_flight_frames: int = Field(64, ge=1, le=4096, description="records of one topic processed but not yet confirmed by Kafka")
    gather_milliseconds: float = Field(
        4.0,
        ge=0,
        le=1000,
        description="how long what became of one raw record waits for that of others, to be written together; four times as long "
        "at most, while more comes",
    )
    dedup_readings_per_device: int = Field(
        32,
        ge=0,
        le=10_000,
        description="readings remembered per device, or up to three times as many; none of a message of more readings",
    )
    commit_interval_seconds: float = Field(0.5, gt=0, le=60, description="how often acknowledged offsets are committed")
    stop_seconds: float = Field(10.0, gt=0, le=300, description="how long a stop may take before the process ends regardless")
