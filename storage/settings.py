"""Settings of the store (``AGORA_STORAGE_…``)."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.observation import MAX_SITES
from storage.database import IDLE_SECONDS, LOCK_SECONDS


class StoreSettings(BaseSettings):
    """How the store gathers and writes."""

    model_config = SettingsConfigDict(env_prefix="AGORA_STORAGE_", frozen=True)
    batch_readings: int = Field(20_000, ge=1, le=500_000, description="readings after which a transaction begins at once")
    gather_milliseconds: int = Field(4, ge=0, le=1_000, description="how long the first record of a batch waits for others")
    registry_wait_seconds: float = Field(
        2.0, ge=0, le=60, description="how long an unknown device or subject is waited for before its readings are quarantined"
    )
    lock_seconds: float = Field(
        LOCK_SECONDS,
        ge=0.1,
        le=60,
        description="how long a lock is waited for; who holds a partition's position and stood still for so long is then ended",
    )
    idle_transaction_seconds: float = Field(
        IDLE_SECONDS, ge=0.1, le=600, description="how long a transaction may wait for its next statement before it is ended"
    )
    sites_per_device: int = Field(
        MAX_SITES,
        ge=1,
        le=32_767,
        description="how many sites a device may name in its life; readings of further ones are quarantined as `sites-exceeded`",
    )
    poll_interval_seconds: float = Field(
        300.0, ge=1, description="without progress for so long, as with the database away, the store leaves its group"
    )
