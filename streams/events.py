"""What the streams process tells."""

from __future__ import annotations

from runtime.telemetry import Event, gauge, histogram

WORKER_STARTED = Event(name="streams.worker_started", help="The worker knows its registry and begins to consume.")
WORKER_STOPPED = Event(name="streams.worker_stopped", help="The worker ended in order; everything acknowledged is committed.")
WORKER_FAILED = Event(
    name="streams.worker_failed",
    level="error",
    help="The worker cannot go on and ends unacknowledged; its supervisor starts it again and nothing is lost.",
    counter="agora_streams_failures_total",
)
PARTITIONS_ASSIGNED = Event(name="streams.partitions_assigned", help="This worker now works on these partitions.")
PARTITIONS_REVOKED = Event(
    name="streams.partitions_revoked",
    help="These partitions are taken away; what was not acknowledged comes again there.",
)
KAFKA_AWAITED = Event(
    name="streams.kafka_awaited",
    level="warning",
    help="Kafka does not answer; the worker waits for it and acknowledges nothing meanwhile.",
    counter="agora_streams_kafka_waits_total",
    labels=("reason",),
)
COMMITTED_AWAITED = Event(
    name="streams.committed_awaited",
    level="warning",
    help="Kafka does not say yet where assigned partitions go on; their records wait, unacknowledged.",
    counter="agora_streams_committed_waits_total",
    labels=("reason",),
)
TOPIC_RESET = Event(
    name="streams.topic_reset",
    level="error",
    help="Kafka's topic ends before what was read of it: Kafka lost data or was restored from an older copy. The worker ends,"
    " since it would pass over what comes there next. Give Kafka its data back, or begin with an empty database and Kafka.",
    counter="agora_streams_topics_reset_total",
    labels=("topic",),
)
REGISTRY_CONFIRMED = Event(
    name="streams.registry_confirmed",
    level="debug",
    help="No fresh heartbeat of the registry, or an unknown device: Kafka was asked whether its devices are known to the last.",
    counter="agora_streams_registry_confirmations_total",
    quiet=True,
)
FRAME_NORMALISED = Event(
    name="streams.frame_normalised",
    level="debug",
    help="A raw record was normalised.",
    counter="agora_streams_frames_total",
    quiet=True,
)
MESSAGES_COUNTED = Event(
    name="streams.messages_counted",
    level="debug",
    help="Messages by what became of them.",
    counter="agora_streams_messages_total",
    labels=("outcome",),
    quiet=True,
)
READINGS_ACCEPTED = Event(
    name="streams.readings_accepted",
    level="debug",
    help="Observations written to the vitals topic.",
    counter="agora_streams_readings_total",
    quiet=True,
)
MESSAGES_QUARANTINED = Event(
    name="streams.messages_quarantined",
    level="debug",
    help="Messages put into quarantine, by reason; `agora quarantine list` shows them.",
    counter="agora_streams_quarantined_total",
    labels=("code",),
    quiet=True,
)
RULE_FAILED = Event(
    name="streams.rule_failed",
    level="error",
    help="A rule of the platform itself failed on a message, now in quarantine as `internal`: report it, replay after the fix.",
    counter="agora_streams_rule_failures_total",
    labels=("kind",),
)
IN_FLIGHT = gauge("agora_streams_in_flight_frames", "Records processed whose outputs Kafka has not confirmed yet.", ("topic",))
LATENCY = histogram(
    "agora_streams_normalise_seconds", "From a frame's newest message reaching the bridge until all outputs are confirmed."
)
