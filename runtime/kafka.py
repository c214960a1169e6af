"""Clients of Kafka, set up alike everywhere."""

from __future__ import annotations

import ssl
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from contracts.topics import FRAME_BYTES
from runtime.settings import KafkaSettings

FETCH_BYTES = 2 * 1024 * 1024
"""Per partition and fetch: what a process that is behind holds of each of its partitions. With 8 MiB a worker that had fallen
behind grew by 210 MiB and kept them; with 2 a backlog takes no more processor time (40 and 36 against 42 and 43 CPU seconds a
million messages) and 210 to 234 MiB instead of 283."""
METADATA_MILLISECONDS = 10_000
"""How old what is known of topics may become. Kafka that has just begun can know one topic of a group and not yet another; who
joins then is given no partition of the other until it asks again, which the client does after five minutes."""
PROMPT_MILLISECONDS = 50
"""How long the broker may keep a request for records of several partitions. The client has one under way, without the partitions
whose records it is still handing out; what comes to those waits for the answer. The client's default is 500, Faust's 1,500."""


def security(settings: KafkaSettings) -> dict[str, Any]:
    """Give aiokafka's arguments for the broker's address and our credential."""
    context = ssl.create_default_context(cafile=settings.ca_file) if settings.security == "SASL_SSL" else None
    return {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.security,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": settings.username,
        "sasl_plain_password": settings.password.get_secret_value(),
        "ssl_context": context,
    }


def producer(settings: KafkaSettings, **overrides: Any) -> AIOKafkaProducer:
    """Make a producer that waits for all replicas and never reorders or doubles what it sends again.

    Args:
        settings: where and who.
        overrides: further arguments of ``AIOKafkaProducer``.

    Returns:
        A producer that was not started yet.
    """
    arguments: dict[str, Any] = {
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": None,
        "max_request_size": FRAME_BYTES,
        "linger_ms": 0,
        "request_timeout_ms": 10_000,
        "retry_backoff_ms": 50,
    }
    return AIOKafkaProducer(**security(settings), **(arguments | overrides))


def consumer(settings: KafkaSettings, group: str | None, *topics: str, **overrides: Any) -> AIOKafkaConsumer:
    """Make a consumer that commits nothing by itself.

    Args:
        settings: where and who.
        group: consumer group, or None for one that is assigned by hand.
        topics: to subscribe to.
        overrides: further arguments of ``AIOKafkaConsumer``.

    Returns:
        A consumer that was not started yet.
    """
    arguments: dict[str, Any] = {
        "group_id": group,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "max_partition_fetch_bytes": FETCH_BYTES,
        "session_timeout_ms": 10_000,
        "heartbeat_interval_ms": 3_000,
        "isolation_level": "read_committed",
        "retry_backoff_ms": 50,
        "metadata_max_age_ms": METADATA_MILLISECONDS,
    }
    return AIOKafkaConsumer(*topics, **security(settings), **(arguments | overrides))
