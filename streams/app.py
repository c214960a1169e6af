"""The Faust app and what its agents share. A new agent is one entry of ``AGENTS``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import faust
from faust import streams as faust_streams

from contracts.errors import Misconfigured
from contracts.registry import DeviceRecord, RuleRecord
from contracts.topics import PARTITIONS, REGISTRY_DEVICES, REGISTRY_RULES, Topic
from runtime import kafka
from runtime.compacted import CompactedView
from runtime.settings import KafkaSettings
from streams import events, flag_agent, normalise_agent
from streams.acknowledger import Acknowledger
from streams.committed import Committed
from streams.lean import LeanApp
from streams.outputs import Outputs
from streams.settings import StreamsSettings

APP_ID = "agora-streams"
"""Consumer group, and prefix of the changelog topics."""


@dataclass(frozen=True)
class Streams:
    """What an agent is given.

    Attributes:
        app: the Faust app.
        kafka: where Kafka is, and as whom.
        settings: of this room.
        outputs: the producer of everything that is written.
        devices: the registry's devices by ``<org>/<device>``, complete before the first event.
        rules: the registry's rules by name, likewise.
        fail: stops the process, unacknowledged; for a broken invariant.
        device_listeners: called with a device's key when its record changed.
        rule_listeners: called when a rule changed.
        committed: where the group goes on in each topic; filled by ``consume``.
        acknowledgers: by topic name; likewise.
        dropped: by topic name, called with the partitions that were revoked.
    """

    app: faust.App
    kafka: KafkaSettings
    settings: StreamsSettings
    outputs: Outputs
    devices: CompactedView[DeviceRecord]
    rules: CompactedView[RuleRecord]
    fail: Callable[[BaseException], None]
    device_listeners: list[Callable[[str], None]] = field(default_factory=list)
    rule_listeners: list[Callable[[], None]] = field(default_factory=list)
    committed: list[Committed] = field(default_factory=list)
    acknowledgers: dict[str, Acknowledger] = field(default_factory=dict)
    dropped: dict[str, list[Callable[[int], None]]] = field(default_factory=dict)

    def consume(self, topic: Topic, on_revoked: Callable[[int], None] | None = None) -> tuple[Any, Acknowledger]:
        """Make Faust's view of a topic, as raw bytes, and its acknowledger.

        Args:
            topic: the contract.
            on_revoked: called with each partition that was taken away, to drop what was remembered of it.

        Returns:
            The Faust topic to make an agent of, and the acknowledger of its events.
        """
        in_flight = events.IN_FLIGHT.labels(topic.name)
        committed = Committed(self.kafka, APP_ID, topic)
        acknowledger = Acknowledger(self.settings.in_flight_frames, in_flight.set, committed.goes_on)
        self.committed.append(committed)
        self.acknowledgers[topic.name] = acknowledger
        self.dropped[topic.name] = [on_revoked] if on_revoked else []
        found = self.app.topic(topic.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        return found, acknowledger

    def revoke(self, topic: str, partitions: list[int]) -> None:
        """Drop what was remembered of partitions that were taken away."""
        self.acknowledgers[topic].drop(partitions)
        for forget in self.dropped[topic]:
            for partition in partitions:
                forget(partition)


AGENTS: tuple[Callable[[Streams], None], ...] = (normalise_agent.register, flag_agent.register)
"""Each registers one agent."""


def build(kafka_settings: KafkaSettings, settings: StreamsSettings, fail: Callable[[BaseException], None]) -> Streams:
    """Make the app with all its agents; call it inside the event loop that will run it.

    Args:
        kafka_settings: where Kafka is, and as whom.
        settings: of this room.
        fail: stops the process, unacknowledged.

    Returns:
        The app and what belongs to it, nothing of it started.

    Raises:
        Misconfigured: when Faust was installed without its compiled parts.
    """
    if faust_streams._CStreamIterator is None:
        # Faust's pure Python iterator acknowledges events it skips after a rebalance; the compiled one does not.
        raise Misconfigured("faust-streaming was installed without its compiled parts: install its wheel for this Python")
    listeners: list[Callable[[str], None]] = []

    def device_changed(key: str, record: DeviceRecord | None) -> None:
        for listener in listeners:
            listener(key)

    rule_listeners: list[Callable[[], None]] = []

    def rule_changed(key: str, record: RuleRecord | None) -> None:
        for listener in rule_listeners:
            listener()

    streams = Streams(
        app=_faust_app(kafka_settings, settings),
        kafka=kafka_settings,
        settings=settings,
        outputs=Outputs(kafka_settings, fail),
        devices=CompactedView(kafka_settings, REGISTRY_DEVICES, DeviceRecord, device_changed),
        rules=CompactedView(kafka_settings, REGISTRY_RULES, RuleRecord, rule_changed),
        fail=fail,
        device_listeners=listeners,
        rule_listeners=rule_listeners,
    )
    for register in AGENTS:
        register(streams)
    _follow_rebalances(streams)
    return streams


def _faust_app(kafka_settings: KafkaSettings, settings: StreamsSettings) -> faust.App:
    security = kafka.security(kafka_settings)
    return LeanApp(
        APP_ID,
        broker=[f"kafka://{address.strip()}" for address in kafka_settings.bootstrap.split(",")],
        broker_credentials=faust.SASLCredentials(
            username=kafka_settings.username,
            password=kafka_settings.password.get_secret_value(),
            mechanism="SCRAM-SHA-512",
            ssl_context=security["ssl_context"],
        ),
        loop=asyncio.get_running_loop(),
        autodiscover=False,
        datadir=str(settings.data_folder),
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=kafka.FETCH_BYTES,
        consumer_metadata_max_age_ms=kafka.METADATA_MILLISECONDS,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        broker_request_timeout=30.0,
        broker_rebalance_timeout=30.0,
        broker_commit_interval=settings.commit_interval_seconds,
        broker_commit_every=None,
        stream_buffer_maxsize=settings.in_flight_frames,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )


def _follow_rebalances(streams: Streams) -> None:
    def by_topic(partitions: Any) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for topic, partition in sorted(partitions):
            if topic in streams.acknowledgers:
                found.setdefault(topic, []).append(partition)
        return found

    async def revoked(app: faust.App, partitions: Any, **kwargs: Any) -> None:
        for topic, numbers in by_topic(partitions).items():
            streams.revoke(topic, numbers)
            events.PARTITIONS_REVOKED.emit(topic=topic, partitions=numbers)

    async def assigned(app: faust.App, partitions: Any, **kwargs: Any) -> None:
        for topic, numbers in by_topic(partitions).items():
            events.PARTITIONS_ASSIGNED.emit(topic=topic, partitions=numbers)

    # Faust keeps weak references to signal handlers unless told otherwise.
    streams.app.on_partitions_revoked.connect(revoked, weak=False)
    streams.app.on_partitions_assigned.connect(assigned, weak=False)
