"""What the gateway reads from its environment."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK = ("localhost", "127.0.0.1", "::1")
LEAST_TOKEN_LENGTH = 32
LEAST_WEBHOOK_KEY_BYTES = 24
WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that Standard Webhooks gives to secrets, not one


class GatewaySettings(BaseSettings):
    """Address, certificate and secrets of the gateway (``AGORA_GATEWAY_…``)."""

    model_config = SettingsConfigDict(env_prefix="AGORA_GATEWAY_", frozen=True)
    host: str = Field("127.0.0.1", description="address on which it answers")
    port: int = Field(ge=1, le=65535, description="its HTTPS port")
    certificate_file: str = Field(description="PEM of its certificate")
    key_file: str = Field(description="PEM of the certificate's key")
    token_key_file: str = Field(description="PEM of the EC P-256 key that signs access tokens")
    public_url: str = Field(description="https address under which apps know it, without a slash at the end")
    operator_token: SecretStr = Field(description="bearer token of the operator's API, at least 32 characters")
    token_seconds: int = Field(300, ge=10, le=300, description="life of an access token, seconds")
    queries_per_second: float = Field(50.0, gt=0, le=1e6, description="FHIR requests a second that an app may make over time")
    burst_queries: int = Field(300, ge=1, le=10**6, description="FHIR requests that an app may make at once")
    tokens_per_minute: float = Field(60.0, gt=0, le=1e6, description="access tokens a minute that a client may ask for over time")
    burst_tokens: int = Field(30, ge=1, le=10**6, description="access tokens that a client may ask for at once")
    address_tokens_per_minute: float = Field(
        1200.0, gt=0, le=1e6, description="token requests a minute from one address over time, whatever clients they name"
    )
    address_burst_tokens: int = Field(300, ge=1, le=10**6, description="token requests from one address at once")
    webhook_url: str = Field("", description="where alert transitions are posted, https or http to loopback; empty: off")
    webhook_secret: SecretStr = Field(SecretStr(""), description="whsec_ and base64 of at least 24 bytes (Standard Webhooks)")

    @field_validator("public_url")
    @classmethod
    def _public_url_is_https(cls, url: str) -> str:
        if urlsplit(url).scheme != "https" or url.endswith("/"):
            raise ValueError("must be https://… without a slash at the end")
        return url

    @field_validator("operator_token")
    @classmethod
    def _operator_token_is_long(cls, token: SecretStr) -> SecretStr:
        if len(token.get_secret_value()) < LEAST_TOKEN_LENGTH:
            raise ValueError(f"must have at least {LEAST_TOKEN_LENGTH} characters")
        return token

    @model_validator(mode="after")
    def _webhook_is_protected(self) -> Self:
        if self.webhook_url:
            parts = urlsplit(self.webhook_url)
            if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
                raise ValueError("AGORA_GATEWAY_WEBHOOK_URL must be https, or http to this machine")
            webhook_key(self.webhook_secret)
        return self


class OperatorClientSettings(BaseSettings):
    """What a command of the operator needs to call the gateway (``AGORA_…``)."""

    model_config = SettingsConfigDict(env_prefix="AGORA_", frozen=True)
    gateway_public_url: str = Field(description="https address of the gateway")
    gateway_operator_token: SecretStr = Field(description="bearer token of the operator's API")
    ca_file: str = Field("", description="PEM of the authority that signed the gateway's certificate; empty: the system's")


def webhook_key(secret: SecretStr) -> bytes:
    """Read the key out of a Standard Webhooks secret.

    Args:
        secret: ``whsec_`` and base64.

    Returns:
        The key's bytes.

    Raises:
        ValueError: when it is not one, or shorter than 24 bytes; it is never repeated.
    """
    text = secret.get_secret_value()
    try:
        prefixed = text.startswith(WEBHOOK_SECRET_PREFIX)
        key = b64decode(text.removeprefix(WEBHOOK_SECRET_PREFIX), validate=True) if prefixed else b""
    except binascii.Error:
        key = b""
    if len(key) < LEAST_WEBHOOK_KEY_BYTES:
        raise ValueError(f"AGORA_GATEWAY_WEBHOOK_SECRET must be whsec_ and base64 of at least {LEAST_WEBHOOK_KEY_BYTES} bytes")
    return key
