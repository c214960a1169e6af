"""Topics, users and access rights of Kafka, made to agree with the list of topics in ``contracts.topics``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from contracts.topics import FLAG_STATE, RAW, TOPICS, Principal, Topic

TIMEOUT_SECONDS = 60
SCRAM_ITERATIONS = 8192
APP_TOPICS_PREFIX = "agora.app."
REGISTRY_TOPICS_PREFIX = "agora.registry."
GROUP_PREFIX = "agora-"
"""Each process may use consumer groups whose names begin with this and its own name."""
CLUSTER = "kafka-cluster"
"""What Kafka calls itself in access rights; librdkafka calls the kind of resource ``BROKER``."""
STATE_SEGMENT_BYTES = 16 * 1024 * 1024
REGISTRY_SEGMENT_BYTES = 1024 * 1024
"""Registry topics get a heartbeat five times a second, and every process reads them whole at its start: what is dead in them
must go soon, and only closed segments are compacted."""
COMPACTION_LAG_MS = 3_600_000


def provision(client: AdminClient, passwords: Mapping[str, str]) -> None:
    """Make topics, users and rights; what is there already stays or is corrected.

    Args:
        client: with the operator's rights.
        passwords: password by user of the platform's own processes.
    """
    make_topics(client, TOPICS)
    # The operator is who we are here: made when the storage was formatted, or given with a Kafka that existed before.
    make_users(client, {name: passwords[name] for name in Principal if name is not Principal.OPERATOR})
    make_rights(client)


def settings_of(topic: Topic) -> dict[str, str]:
    """Give the broker's settings for a topic."""
    settings = {"max.message.bytes": str(topic.max_message_bytes)}
    if topic.compacted:
        segment = REGISTRY_SEGMENT_BYTES if topic.name.startswith(REGISTRY_TOPICS_PREFIX) else STATE_SEGMENT_BYTES
        settings |= {"cleanup.policy": "compact", "segment.bytes": str(segment), "min.cleanable.dirty.ratio": "0.3"}
        if topic is FLAG_STATE:
            # A flag state that a sleeping worker wrote late must not be the only one left (streams/flag_states.py).
            settings |= {"min.compaction.lag.ms": str(COMPACTION_LAG_MS)}
    else:
        settings |= {"cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)}
    if topic is RAW:
        # One broker has the only copy of what a device forgets with its receipt; all else can be made of it again (ADR 16).
        settings["flush.messages"] = "1"
    if topic.log_append_time:
        settings["message.timestamp.type"] = "LogAppendTime"
    return settings


def make_topics(client: AdminClient, topics: Iterable[Topic]) -> None:
    """Make the topics that are missing and correct the settings of the others; the number of partitions never changes."""
    wanted = list(topics)
    existing = client.list_topics(timeout=TIMEOUT_SECONDS).topics
    missing = [
        NewTopic(topic.name, topic.partitions, 1, config=settings_of(topic)) for topic in wanted if topic.name not in existing
    ]
    if missing:
        _settle(client.create_topics(missing, operation_timeout=TIMEOUT_SECONDS), already=KafkaError.TOPIC_ALREADY_EXISTS)
    old = [topic for topic in wanted if topic.name in existing]
    if old:
        _settle(client.incremental_alter_configs([_settings_change(topic) for topic in old]))


def _settings_change(topic: Topic) -> ConfigResource:
    entries = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in settings_of(topic).items()]
    return ConfigResource(ConfigResource.Type.TOPIC, topic.name, incremental_configs=entries)


def make_users(client: AdminClient, passwords: Mapping[str, str]) -> None:
    """Make users, or set their passwords anew."""
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, SCRAM_ITERATIONS)
    changes = [UserScramCredentialUpsertion(user, how, password.encode()) for user, password in passwords.items()]
    _settle(client.alter_user_scram_credentials(changes))


def rights_of(principal: Principal) -> list[AclBinding]:
    """List what a process may do: its topics, its consumer groups; the router also all apps' topics."""
    rights = [_right(principal, ResourceType.GROUP, f"{GROUP_PREFIX}{principal.value}", AclOperation.READ, prefixed=True)]
    for topic in TOPICS:
        if principal in topic.readers:
            rights.append(_right(principal, ResourceType.TOPIC, topic.name, AclOperation.READ))
        if principal in topic.writers:
            rights.append(_right(principal, ResourceType.TOPIC, topic.name, AclOperation.WRITE))
    if principal is Principal.ROUTER:
        rights.append(_right(principal, ResourceType.TOPIC, APP_TOPICS_PREFIX, AclOperation.WRITE, prefixed=True))
    if principal is Principal.KEEPER:
        rights += _rights_to_provide(principal)
    return rights


def _rights_to_provide(keeper: Principal) -> list[AclBinding]:
    """List what the keeper needs to be the registry's only writer, and to make and unmake the apps' topics, rights and users."""
    transactions = f"{GROUP_PREFIX}{keeper.value}"
    return [
        _right(keeper, ResourceType.TRANSACTIONAL_ID, transactions, AclOperation.WRITE),
        # How far the workers are: what was in flight during a correction is looked through behind them.
        _right(keeper, ResourceType.GROUP, f"{GROUP_PREFIX}{Principal.STREAMS.value}", AclOperation.DESCRIBE),
        _right(keeper, ResourceType.TOPIC, APP_TOPICS_PREFIX, AclOperation.CREATE, prefixed=True),
        _right(keeper, ResourceType.TOPIC, APP_TOPICS_PREFIX, AclOperation.DESCRIBE, prefixed=True),
        _right(keeper, ResourceType.BROKER, CLUSTER, AclOperation.ALTER),
    ]


def make_rights(client: AdminClient) -> None:
    """Give each process of ours exactly its rights: what is missing is added, what is too much is taken away."""
    for principal in Principal:
        if principal is Principal.OPERATOR:
            continue  # a super user
        whose = AclBindingFilter(
            ResourceType.ANY,
            None,
            ResourcePatternType.ANY,
            f"User:{principal.value}",
            None,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        existing = set(client.describe_acls(whose, request_timeout=TIMEOUT_SECONDS).result(TIMEOUT_SECONDS))
        wanted = set(rights_of(principal))
        if wanted - existing:
            _settle(client.create_acls(list(wanted - existing)))
        if existing - wanted:
            _settle(client.delete_acls([_exactly(binding) for binding in existing - wanted]))


def _right(
    principal: Principal, resource: ResourceType, name: str, operation: AclOperation, *, prefixed: bool = False
) -> AclBinding:
    pattern = ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL
    return AclBinding(resource, name, pattern, f"User:{principal.value}", "*", operation, AclPermissionType.ALLOW)


def _exactly(binding: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )


def _settle(futures: Mapping[Any, Future[Any]], already: int | None = None) -> None:
    """Wait for every answer; what somebody else made in the same moment is no failure."""
    for future in futures.values():
        try:
            future.result(TIMEOUT_SECONDS)
        except KafkaException as error:
            if already is None or error.args[0].code() != already:
                raise
