"""Apps' users in Kafka, kept by the operator: made, given another password, taken away together with all rights."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from contracts.errors import Unavailable
from contracts.topics import app_principal
from runtime.settings import KafkaSettings

TIMEOUT_SECONDS = 30.0
PASSWORD_BYTES = 24
SCRAM_ITERATIONS = 8192
_MECHANISM = ScramMechanism.SCRAM_SHA_512


class KafkaUsers:
    """Speaks to the broker as an administrator."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Connect lazily.

        Args:
            settings: where the broker is, and a user that may administrate.
        """
        values: dict[str, str | int] = {
            "bootstrap.servers": settings.bootstrap,
            "security.protocol": settings.security,
            "sasl.mechanisms": "SCRAM-SHA-512",
            "sasl.username": settings.username,
            "sasl.password": settings.password.get_secret_value(),
            "log_level": 0,
        }
        if settings.security == "SASL_SSL":
            values["ssl.ca.location"] = settings.ca_file
        self._admin = AdminClient(values)

    def give_password(self, app: str) -> str:
        """Make an app's user, or give it another password.

        Args:
            app: the app's name.

        Returns:
            The password; it is kept nowhere else.

        Raises:
            Unavailable: Kafka does not answer, or refuses.
        """
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        how = ScramCredentialInfo(_MECHANISM, SCRAM_ITERATIONS)
        self._change(UserScramCredentialUpsertion(app_principal(app), how, password.encode()))
        return password

    def take_away(self, app: str) -> None:
        """Delete an app's rights, then its user: an open consumer stops with its rights, not with its password.

        Args:
            app: the app's name.

        Raises:
            Unavailable: Kafka does not answer, or refuses.
        """
        whose = AclBindingFilter(
            ResourceType.ANY,
            None,
            ResourcePatternType.ANY,
            f"User:{app_principal(app)}",
            None,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        _settle(self._admin.delete_acls([whose], request_timeout=TIMEOUT_SECONDS))
        self._change(UserScramCredentialDeletion(app_principal(app), _MECHANISM), absent_is_fine=True)

    def _change(self, change: object, *, absent_is_fine: bool = False) -> None:
        _settle(
            self._admin.alter_user_scram_credentials([change], request_timeout=TIMEOUT_SECONDS), absent_is_fine=absent_is_fine
        )


def _settle(futures: Mapping[Any, Future[Any]], *, absent_is_fine: bool = False) -> None:
    for future in futures.values():
        try:
            future.result(TIMEOUT_SECONDS)
        except KafkaException as error:
            if absent_is_fine and error.args[0].code() == KafkaError.RESOURCE_NOT_FOUND:
                continue
            raise Unavailable(f"Kafka did not change the app's access: {error.args[0].str()}") from error
