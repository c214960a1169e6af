"""What the rooms' processes and commands that share readings are told."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class PseudonymSettings(BaseSettings):
    """The secret all pseudonyms derive from (``AGORA_PSEUDONYM_…``)."""

    model_config = SettingsConfigDict(env_prefix="AGORA_PSEUDONYM_", frozen=True)
    master: SecretStr = Field(description="at least 32 random bytes in hexadecimal; another secret gives every app other names")


class AppAddressSettings(BaseSettings):
    """The addresses an app is told (``AGORA_…``)."""

    model_config = SettingsConfigDict(env_prefix="AGORA_", frozen=True)
    kafka_apps_bootstrap: str = Field("localhost:9094", description="host:port of the broker's door for apps")
    gateway_public_url: str = Field("https://localhost:8443", description="root of the gateway's URLs")
    ca_file: str = Field("", description="PEM of the authority that signed both")
