"""Settings shared by rooms. Each class is frozen, read once from the environment at the edge, and checked at start."""

from __future__ import annotations

from typing import Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.errors import Misconfigured

S = TypeVar("S", bound=BaseSettings)


class KafkaSettings(BaseSettings):
    """How to reach Kafka (``AGORA_KAFKA_…``)."""

    model_config = SettingsConfigDict(env_prefix="AGORA_KAFKA_", frozen=True)
    bootstrap: str = Field(description="host:port of a broker; several separated by commas")
    username: str = Field(description="SCRAM user of this process")
    password: SecretStr = Field(description="its password")
    security: Literal["SASL_PLAINTEXT", "SASL_SSL"] = Field("SASL_PLAINTEXT", description="plain only on loopback")
    ca_file: str = Field("", description="PEM of the authority that signed the broker's certificate, for SASL_SSL")

    @model_validator(mode="after")
    def _authority_given(self) -> Self:
        if self.security == "SASL_SSL" and not self.ca_file:
            raise ValueError("AGORA_KAFKA_CA_FILE is needed with AGORA_KAFKA_SECURITY=SASL_SSL")
        return self


class DatabaseSettings(BaseSettings):
    """How to reach PostgreSQL with TimescaleDB (``AGORA_DATABASE_…``)."""

    model_config = SettingsConfigDict(env_prefix="AGORA_DATABASE_", frozen=True)
    host: str = Field("127.0.0.1", description="host of the server")
    port: int = Field(5432, ge=1, le=65535, description="port of the server")
    name: str = Field("agora", description="database")
    user: str = Field(description="role of this process")
    password: SecretStr = Field(description="its password")

    def conninfo(self) -> str:
        """Give the libpq connection string. It holds the password: for the driver, never for a log."""
        from psycopg.conninfo import make_conninfo

        return make_conninfo(
            "",
            host=self.host,
            port=self.port,
            dbname=self.name,
            user=self.user,
            password=self.password.get_secret_value(),
            application_name="agora",
            connect_timeout=5,
        )


class MqttSettings(BaseSettings):
    """How to reach the MQTT broker over TLS (``AGORA_MQTT_…``)."""

    model_config = SettingsConfigDict(env_prefix="AGORA_MQTT_", frozen=True)
    host: str = Field("localhost", description="host of the broker, as its certificate names it")
    port: int = Field(8883, ge=1, le=65535, description="TLS port")
    ca_file: str = Field(description="PEM of the authority that signed the broker's certificate")
    username: str = Field(description="account of this process")
    password: SecretStr = Field(description="its password")


class ProcessSettings(BaseSettings):
    """What each long-running process has (``AGORA_…``)."""

    model_config = SettingsConfigDict(env_prefix="AGORA_", frozen=True)
    metrics_host: str = Field("127.0.0.1", description="address on which /metrics answers")
    metrics_port: int = Field(0, ge=0, le=65535, description="its port; 0 switches it off")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severity that is logged")
    log_format: Literal["json", "console"] = Field("json", description="json for machines, console for people")


def load(kind: type[S]) -> S:
    """Read a settings class from the environment.

    Args:
        kind: the class.

    Returns:
        The settings.

    Raises:
        Misconfigured: naming every variable that is missing or wrong, never its value.
    """
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        problems = "; ".join(
            f"{(prefix + '_'.join(str(part) for part in problem['loc'])).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False)
        )
        raise Misconfigured(f"settings of {kind.__name__}: {problems}") from None
