"""Every Kafka topic of the platform, with key, value, partitions, retention, and who may write and read it.

The broker's topics and access rights, the reference table and the tests are made from this list.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PARTITIONS = 8
"""Fixed at creation: a key must stay in its partition for ever."""
DAY_MS = 24 * 3600 * 1000
FRAME_BYTES = 1024 * 1024
"""Broker's limit for a record: twice a frame's."""
VITALS_BYTES = 5 * FRAME_BYTES
"""Limit for the observations of one frame: its shortest reading is 40 bytes, an observation with the longest names about 300."""


class Principal(StrEnum):
    """Kafka users of the platform's own processes."""

    BRIDGE = "bridge"
    STREAMS = "streams"
    STORE = "store"
    ROUTER = "router"
    GATEWAY = "gateway"
    KEEPER = "keeper"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Topic:
    """A topic and its contract.

    Attributes:
        name: topic name.
        key: what it is partitioned by.
        value: what a record holds.
        partitions: number of partitions.
        retention_ms: how long records stay; ignored where compacted.
        compacted: whether the newest record per key stays for ever.
        writers: principals that may write.
        readers: principals that may read.
        max_message_bytes: the largest record.
        log_append_time: whether the broker stamps records, where the moment of appending is evidence.
    """

    name: str
    key: str
    value: str
    partitions: int = PARTITIONS
    retention_ms: int = 7 * DAY_MS
    compacted: bool = False
    writers: tuple[Principal, ...] = ()
    readers: tuple[Principal, ...] = ()
    max_message_bytes: int = FRAME_BYTES
    log_append_time: bool = False


P = Principal
RAW = Topic("agora.raw.v1", "<org>/<device>", "msgpack RawFrame", writers=(P.BRIDGE, P.KEEPER), readers=(P.STREAMS, P.KEEPER))
VITALS = Topic(
    "agora.vitals.v1",
    "subject",
    "msgpack VitalsFrame",
    writers=(P.STREAMS,),
    readers=(P.STREAMS, P.STORE, P.ROUTER, P.KEEPER),
    max_message_bytes=VITALS_BYTES,
)
ALERTS = Topic("agora.alerts.v1", "subject", "JSON AlertTransition", writers=(P.STREAMS,), readers=(P.STORE, P.GATEWAY))
ALERT_COMMANDS = Topic(
    "agora.alert-commands.v1", "subject", "JSON AlertCommand", writers=(P.GATEWAY, P.KEEPER), readers=(P.STREAMS,)
)
QUARANTINE = Topic(
    "agora.quarantine.v1",
    "<org>/<device>",
    "msgpack QuarantinedMessage",
    retention_ms=30 * DAY_MS,
    max_message_bytes=2 * FRAME_BYTES,  # keeps a raw record whole that is no frame, with its reason
    writers=(P.BRIDGE, P.STREAMS),
    readers=(P.STORE,),
)
LEDGER = Topic("agora.ledger.v1", "partition of the raw record", "msgpack RawOutcome", writers=(P.STREAMS,), readers=(P.STORE,))
DOWN = Topic("agora.down.v1", "<org>/<device>", "JSON DownRecord", retention_ms=DAY_MS, writers=(P.STREAMS,), readers=(P.BRIDGE,))
REGISTRY_DEVICES = Topic(
    "agora.registry.devices.v1",
    "<org>/<device>",
    "JSON DeviceRecord",
    partitions=1,
    compacted=True,
    writers=(P.KEEPER,),
    readers=(P.STREAMS, P.ROUTER, P.KEEPER),
)
REGISTRY_CONSENTS = Topic(
    "agora.registry.consents.v1",
    "consent",
    "JSON ConsentRecord",
    partitions=1,
    compacted=True,
    writers=(P.KEEPER,),
    readers=(P.ROUTER, P.KEEPER),
)
REGISTRY_APPS = Topic(
    "agora.registry.apps.v1",
    "app",
    "JSON AppRecord",
    partitions=1,
    compacted=True,
    writers=(P.KEEPER,),
    readers=(P.ROUTER, P.KEEPER),
)
REGISTRY_RULES = Topic(
    "agora.registry.rules.v1",
    "rule",
    "JSON RuleRecord",
    partitions=1,
    compacted=True,
    writers=(P.KEEPER,),
    readers=(P.STREAMS, P.KEEPER),
)
FLAG_STATE = Topic(
    "agora.flag-state.v1",
    "subject",
    "msgpack FlagState",
    compacted=True,
    writers=(P.STREAMS,),
    readers=(P.STREAMS,),
)

TOPICS: tuple[Topic, ...] = (
    RAW,
    VITALS,
    ALERTS,
    ALERT_COMMANDS,
    QUARANTINE,
    LEDGER,
    DOWN,
    REGISTRY_DEVICES,
    REGISTRY_CONSENTS,
    REGISTRY_APPS,
    REGISTRY_RULES,
    FLAG_STATE,
)
"""All topics but the apps', which come and go with their apps."""


def app_principal(app: str) -> str:
    """Name the Kafka user of an app."""
    return f"app-{app}"


def app_topic(app: str) -> Topic:
    """Give the topic on which an app receives what patients share with it.

    Args:
        app: the app's name.

    Returns:
        A topic of one partition, so that its offset is the app's cursor; kept for seven days; stamped by the broker, since the
        moment of appending proves that nothing came after a withdrawal.
    """
    return Topic(
        f"agora.app.{app}.v1",
        "pseudonymous reading id",
        "FHIR Observation as JSON, CloudEvents headers",
        partitions=1,
        writers=(P.ROUTER,),
        log_append_time=True,
    )
