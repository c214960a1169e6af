"""What Kafka has on its disk when it confirms: one broker has the only copy of what a device forgets with its receipt."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from contracts.topics import TOPICS
from deploy.local import kafka as local
from deploy.local.stack import Stack

BROKER = "1"


def test_kafka_has_on_its_disk_what_it_confirms(stack: Stack) -> None:
    admin = AdminClient(local.client(stack.settings("operator")))
    topics = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in TOPICS]
    told = admin.describe_configs(topics, request_timeout=20)
    assert {one.name: told[one].result()["flush.messages"].value for one in topics} == {topic.name: "1" for topic in TOPICS}
    # The groups' offsets, and topics that are made later, follow the broker's own setting.
    broker = ConfigResource(ResourceType.BROKER, BROKER)
    assert admin.describe_configs([broker], request_timeout=20)[broker].result()["log.flush.interval.messages"].value == "1"
