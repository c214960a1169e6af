"""Apps: clients of one organisation, each with a secret for the gateway and a user of its own in Kafka."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from time import monotonic
from typing import Any

from psycopg import Connection
from psycopg.errors import UniqueViolation
from psycopg.rows import class_row, dict_row

from contracts.errors import AgoraError, Unavailable
from contracts.ids import is_name
from contracts.registry import AppRecord
from contracts.topics import REGISTRY_APPS, app_principal, app_topic
from registry import outbox
from registry.refusal import Refused
from sharing.client_secrets import hash_secret, make_secret
from sharing.kafka_users import KafkaUsers

NAME_MAX = 50
"""Leaves room in the topic's and the user's name."""
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class App:
    """An app as it stands in the registry.

    Attributes:
        name: unique over the platform.
        org: whose.
        display: name for people.
        client_id: OAuth 2 client id.
        created_at: when it was added.
        provisioned_at: when its topic and rights stood in Kafka, or None.
        revoked_at: when it was revoked, or None.
    """

    name: str
    org: str
    display: str
    client_id: str
    created_at: datetime
    provisioned_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, repr=False)
class Access:
    """What an app needs to get at its data; the two secrets are kept nowhere but here.

    Attributes:
        app: the app.
        client_id: OAuth 2 client id for the gateway.
        client_secret: its secret.
        kafka_user: SCRAM-SHA-512 user.
        kafka_password: its password.
        topic: the app's topic.
    """

    app: str
    client_id: str
    client_secret: str
    kafka_user: str
    kafka_password: str
    topic: str


def add(connection: Connection[Any], users: KafkaUsers, org: str, name: str, display: str = "") -> Access:
    """Add an app: its row and what processors learn of it, then its user in Kafka. Topic and rights are the keeper's.

    Args:
        connection: operator's; a transaction of its own is made inside it.
        users: Kafka's administrator.
        org: whose app.
        name: ``[a-z0-9-]``, 1 to 50, unique over the platform for ever.
        display: name for people; the name itself where empty.

    Returns:
        What the app needs, with its secrets, once.

    Raises:
        Refused: the name is not allowed or taken, or there is no such organisation.
        Unavailable: Kafka did not make the user; the app exists, ``rotate`` completes it.
    """
    if not is_name(name) or len(name) > NAME_MAX:
        raise Refused(f"'{name[:80]}' cannot name an app: use 1 to {NAME_MAX} characters of a-z, 0-9 and '-'.")
    client_id, secret = f"{name}-{secrets.token_hex(4)}", make_secret()
    try:
        with connection.transaction():
            written = connection.execute(
                "INSERT INTO apps (name, org, display, client_id, secret_hash)"
                " SELECT %s, name, %s, %s, %s FROM organisations WHERE name = %s",
                [name, display or name, client_id, hash_secret(secret), org],
            ).rowcount
            if written != 1:
                raise Refused(f"There is no organisation '{org[:80]}'.", "Add it: ./agora org add NAME --display 'Its name'.")
            outbox.append(connection, REGISTRY_APPS, name, AppRecord(app=name, org=org, client_id=client_id))
    except UniqueViolation:
        raise Refused(f"There is, or was, an app '{name}' already.") from None
    return _access(name, client_id, secret, users.give_password(name))


def rotate(connection: Connection[Any], users: KafkaUsers, name: str) -> Access:
    """Give an app another secret and another password; the old ones end at once, connections that are open go on.

    Args:
        connection: operator's; a transaction of its own is made inside it.
        users: Kafka's administrator.
        name: the app.

    Returns:
        What the app needs, with its new secrets, once.

    Raises:
        Refused: there is no such app, or it was revoked.
        Unavailable: Kafka did not take the password; the gateway's secret is new already.
    """
    secret = make_secret()
    with connection.transaction():
        row = connection.execute(
            "UPDATE apps SET secret_hash = %s WHERE name = %s AND revoked_at IS NULL RETURNING client_id",
            [hash_secret(secret), name],
        ).fetchone()
    if row is None:
        raise Refused(f"There is no active app '{name[:80]}'.", "See ./agora app list.")
    return _access(name, str(row[0]), secret, users.give_password(name))


def revoke(connection: Connection[Any], users: KafkaUsers, name: str) -> None:
    """End an app: nothing more is released to it, its rights in Kafka go, then its user. Once more does no harm.

    Args:
        connection: operator's; a transaction of its own is made inside it.
        users: Kafka's administrator.
        name: the app.

    Raises:
        Refused: there is no such app.
        Unavailable: Kafka did not take the rights away; nothing new is released all the same, and it can be repeated.
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        # Not FOR UPDATE: a consent that is being recorded refers to the app and holds what we wait for next (outbox.hold).
        row = cursor.execute(
            "SELECT org, client_id, pseudonym_epoch, revoked_at FROM apps WHERE name = %s FOR NO KEY UPDATE", [name]
        ).fetchone()
        if row is None:
            raise Refused(f"There is no app '{name[:80]}'.", "See ./agora app list.")
        if row["revoked_at"] is None:
            cursor.execute("UPDATE apps SET revoked_at = clock_timestamp() WHERE name = %s", [name])
            record = AppRecord(
                app=name, org=row["org"], client_id=row["client_id"], active=False, pseudonym_epoch=row["pseudonym_epoch"]
            )
            outbox.append(connection, REGISTRY_APPS, name, record)
    users.take_away(name)


def listed(connection: Connection[Any], org: str | None = None) -> list[App]:
    """List apps by name, revoked ones too.

    Args:
        connection: as a role that may read apps.
        org: only this organisation's, or None.
    """
    with connection.cursor(row_factory=class_row(App)) as cursor:
        cursor.execute(
            "SELECT name, org, display, client_id, created_at, provisioned_at, revoked_at FROM apps"
            " WHERE %(org)s::text IS NULL OR org = %(org)s ORDER BY name",
            {"org": org},
        )
        return cursor.fetchall()


def wait_provisioned(
    connection: Connection[Any], name: str, seconds: float = 30.0, progress: Callable[[float], None] | None = None
) -> None:
    """Wait until the keeper has made an app's topic and rights.

    Args:
        connection: as a role that may read apps; not in a transaction.
        name: the app.
        seconds: how long at most.
        progress: told the seconds waited so far, a few times a second.

    Raises:
        Unavailable: it did not happen in time; the keeper goes on by itself when it runs again.
        AgoraError: there is no such app.
    """
    begun, pause = monotonic(), Event()
    while (waited := monotonic() - begun) < seconds:
        row = connection.execute("SELECT provisioned_at IS NOT NULL FROM apps WHERE name = %s", [name]).fetchone()
        if row is None:
            raise AgoraError(f"there is no app '{name[:80]}'")
        if row[0]:
            return
        if progress is not None:
            progress(waited)
        pause.wait(LOOK_SECONDS)
    raise Unavailable(f"the topic of '{name}' was not made within {seconds:.0f} s: does the keeper run? ./agora status")


def _access(name: str, client_id: str, secret: str, password: str) -> Access:
    return Access(name, client_id, secret, app_principal(name), password, app_topic(name).name)
