"""Apps in Kafka: topic and rights of each that is active, nothing of one that was revoked.

What stands in Kafka is compared with the apps' rows, so a kill in the middle, a lost Kafka or a late word of a former leader
is put right by the next look. The user and its password are made by whoever adds the app; the keeper never knows the
password.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
)
from psycopg import AsyncConnection

from contracts.topics import Topic, app_principal, app_topic
from registry import events, restored
from registry.leadership import Leadership, LeadershipLost
from registry.publisher import Publisher
from registry.settings import KeeperSettings
from runtime.settings import DatabaseSettings, KafkaSettings

TIMEOUT_SECONDS = 10.0
PREFIX = "User:" + app_principal("")
"""Of the principals that are apps'."""


class AppRow(NamedTuple):
    """An app as far as Kafka is concerned."""

    name: str
    revoked: bool
    provisioned: bool


class Found(NamedTuple):
    """What stands in Kafka.

    Attributes:
        topics: names of all topics.
        rights: rights of apps' principals.
        users: all SCRAM users.
    """

    topics: frozenset[str]
    rights: frozenset[AclBinding]
    users: frozenset[str]


class Todo(NamedTuple):
    """What is to be changed, in this order."""

    take_rights: tuple[AclBinding, ...]
    delete_users: tuple[str, ...]
    make_topics: tuple[Topic, ...]
    give_rights: tuple[AclBinding, ...]


def rights_of(app: str) -> frozenset[AclBinding]:
    """List what an app may do: read its topic, and use groups named ``agora-app-<app>`` or that and a dot with more behind.

    The dot cannot stand in a name, so that no app's groups begin like another's.
    """
    group = f"agora-{app_principal(app)}"
    literal, prefixed = ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED
    return frozenset(
        AclBinding(kind, name, pattern, f"User:{app_principal(app)}", "*", AclOperation.READ, AclPermissionType.ALLOW)
        for kind, name, pattern in (
            (ResourceType.TOPIC, app_topic(app).name, literal),
            (ResourceType.GROUP, group, literal),
            (ResourceType.GROUP, f"{group}.", prefixed),
        )
    )


def plan(apps: Iterable[AppRow], found: Found) -> Todo:
    """Compare what is with what should be.

    Args:
        apps: all apps, revoked ones too.
        found: what stands in Kafka.

    Returns:
        What is to be changed. Users of apps that nobody knows are left alone; rights of them are taken.
    """
    rows = list(apps)
    active = [app.name for app in rows if not app.revoked]
    wanted = frozenset[AclBinding]().union(*(rights_of(name) for name in active))
    gone = {app_principal(app.name) for app in rows if app.revoked}
    return Todo(
        take_rights=tuple(found.rights - wanted),
        delete_users=tuple(sorted(gone & found.users)),
        make_topics=tuple(topic for topic in map(app_topic, active) if topic.name not in found.topics),
        give_rights=tuple(wanted - found.rights),
    )


class AppAccess:
    """Keeps the apps' topics and rights like the registry as long as this keeper leads."""

    def __init__(
        self,
        settings: KeeperSettings,
        database: DatabaseSettings,
        kafka: KafkaSettings,
        leadership: Leadership,
        publisher: Publisher,
    ) -> None:
        self._settings = settings
        self._database = database
        self._kafka = kafka
        self._leadership = leadership
        self._ear = publisher.apps_confirmed.ear()
        self._without_user: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Keep topics and rights until a server fails to answer.

        Raises:
            LeadershipLost: the lock is in doubt.
            psycopg.Error, KafkaException: a server did not answer.
        """
        client = await asyncio.to_thread(admin, self._kafka)
        async with await AsyncConnection.connect(self._database.conninfo(), autocommit=True) as connection:
            while True:
                rows = await connection.execute("SELECT name, revoked_at IS NOT NULL, provisioned_at IS NOT NULL FROM apps")
                apps = [AppRow(*row) for row in await rows.fetchall()]
                await self._provide(connection, client, apps)
                await self._ear.wait(self._settings.apps_seconds)

    async def _provide(self, connection: AsyncConnection[tuple[Any, ...]], client: AdminClient, apps: list[AppRow]) -> None:
        if not apps or not await restored.confirmed(connection):
            return  # a restored table may have apps that were revoked since
        found = await asyncio.to_thread(look, client)
        if not self._leadership.is_sure():
            raise LeadershipLost("in doubt")
        todo = plan(apps, found)
        await asyncio.to_thread(carry_out, client, todo)
        new = [app.name for app in apps if not app.revoked and not app.provisioned]
        await connection.execute(
            "UPDATE apps SET provisioned_at = clock_timestamp() WHERE name = ANY(%s) AND provisioned_at IS NULL", (new,)
        )
        if new:
            events.APP_PROVISIONED.emit(amount=len(new), apps=new)
        if todo.delete_users:
            events.APP_REVOKED.emit(amount=len(todo.delete_users), users=list(todo.delete_users))
        self._tell_missing(apps, found)

    def _tell_missing(self, apps: list[AppRow], found: Found) -> None:
        """Tell once of apps that were served before but whose user Kafka does not have."""
        missing = frozenset(
            app.name for app in apps if app.provisioned and not app.revoked and app_principal(app.name) not in found.users
        )
        for name in sorted(missing - self._without_user):
            events.APP_CREDENTIAL_MISSED.emit(app=name)
        self._without_user = missing


def admin(settings: KafkaSettings) -> AdminClient:
    """Make a client for administration as the keeper."""
    return AdminClient(
        {
            "bootstrap.servers": settings.bootstrap,
            "security.protocol": settings.security,
            "sasl.mechanisms": "SCRAM-SHA-512",
            "sasl.username": settings.username,
            "sasl.password": settings.password.get_secret_value(),
            "ssl.ca.location": settings.ca_file,
            "log_level": 0,  # it would write to standard error past our telemetry
        },
        logger=None,
    )


def look(client: AdminClient) -> Found:
    """Read what stands in Kafka.

    Raises:
        KafkaException: it does not answer, or refuses.
    """
    everything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    topics = client.list_topics(timeout=TIMEOUT_SECONDS).topics
    rights = client.describe_acls(everything, request_timeout=TIMEOUT_SECONDS).result(TIMEOUT_SECONDS)
    users = client.describe_user_scram_credentials(request_timeout=TIMEOUT_SECONDS).result(TIMEOUT_SECONDS)
    return Found(frozenset(topics), frozenset(right for right in rights if right.principal.startswith(PREFIX)), frozenset(users))


def carry_out(client: AdminClient, todo: Todo) -> None:
    """Change what is to be changed: rights go before their user, since an open consumer outlives its credential.

    Raises:
        KafkaException: Kafka does not answer, or refuses.
    """
    if todo.take_rights:
        _settle(client.delete_acls([_exactly(right) for right in todo.take_rights], request_timeout=TIMEOUT_SECONDS))
    if todo.delete_users:
        deletions = [UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512) for user in todo.delete_users]
        _settle(
            client.alter_user_scram_credentials(deletions, request_timeout=TIMEOUT_SECONDS), but=KafkaError.RESOURCE_NOT_FOUND
        )
    if todo.make_topics:
        _settle(
            client.create_topics([_new(topic) for topic in todo.make_topics], request_timeout=TIMEOUT_SECONDS),
            but=KafkaError.TOPIC_ALREADY_EXISTS,
        )
    if todo.give_rights:
        _settle(client.create_acls(list(todo.give_rights), request_timeout=TIMEOUT_SECONDS))


def _new(topic: Topic) -> NewTopic:
    settings = {
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(topic.max_message_bytes),
        "message.timestamp.type": "LogAppendTime" if topic.log_append_time else "CreateTime",
    }
    return NewTopic(topic.name, topic.partitions, 1, config=settings)


def _exactly(right: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        right.restype,
        right.name,
        right.resource_pattern_type,
        right.principal,
        right.host,
        right.operation,
        right.permission_type,
    )


def _settle(futures: Mapping[Any, Future[Any]], but: int | None = None) -> None:
    """Wait for every answer; what somebody else did in the same moment is no failure."""
    for future in futures.values():
        try:
            future.result(TIMEOUT_SECONDS)
        except KafkaException as error:
            if but is None or error.args[0].code() != but:
                raise
