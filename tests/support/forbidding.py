"""Taking a process's right to write a topic away for a while, and emptying a topic: what an operator can do to Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from contracts.topics import Principal, Topic
from deploy.local.stack import Stack

SECONDS = 30.0
LOG_END = -1


def administrator(stack: Stack) -> AdminClient:
    """Be the operator."""
    env = stack.settings("operator")
    return AdminClient(
        {
            "bootstrap.servers": env["AGORA_KAFKA_BOOTSTRAP"],
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanisms": "SCRAM-SHA-512",
            "sasl.username": env["AGORA_KAFKA_USERNAME"],
            "sasl.password": env["AGORA_KAFKA_PASSWORD"],
        }
    )


@contextmanager
def forbidden(stack: Stack, principal: Principal, topic: Topic) -> Iterator[None]:
    """Forbid a process to write a topic."""
    admin = administrator(stack)
    what = ResourceType.TOPIC, topic.name, ResourcePatternType.LITERAL, f"User:{principal.value}", "*"
    for made in admin.create_acls([AclBinding(*what, AclOperation.WRITE, AclPermissionType.DENY)]).values():
        made.result(SECONDS)
    try:
        yield
    finally:
        for taken in admin.delete_acls([AclBindingFilter(*what, AclOperation.WRITE, AclPermissionType.DENY)]).values():
            taken.result(SECONDS)


def empty(stack: Stack, topic: Topic) -> None:
    """Delete every record of a compacted topic; its offsets go on."""
    partitions = [TopicPartition(topic.name, number, LOG_END) for number in range(topic.partitions)]
    admin = administrator(stack)  # its answers come only as long as it lives
    _clean_up(admin, topic, "compact,delete")  # what is only compacted Kafka lets nobody delete
    for deleted in admin.delete_records(partitions).values():
        deleted.result(SECONDS)
    _clean_up(admin, topic, "compact")


def _clean_up(admin: AdminClient, topic: Topic, policy: str) -> None:
    entry = ConfigEntry("cleanup.policy", policy, incremental_operation=AlterConfigOpType.SET)
    change = ConfigResource(ConfigResource.Type.TOPIC, topic.name, incremental_configs=[entry])
    for changed in admin.incremental_alter_configs([change]).values():
        changed.result(SECONDS)
