"""What the bridge tells."""

from __future__ import annotations

from runtime.telemetry import Event, gauge, histogram

STARTED = Event(name="ingest.bridge_started", help="The bridge runs and connects to broker and Kafka.")
STOPPED = Event(name="ingest.bridge_stopped", help="The bridge has ended; `left` messages stayed unacknowledged with the broker.")
FAILED = Event(
    name="ingest.bridge_failed",
    level="error",
    help="The bridge gives up, acknowledging nothing, and is to be started again; the broker delivers what it holds once more.",
    counter="agora_ingest_failures_total",
)
CONNECTED = Event(
    name="ingest.session_connected",
    help="Connected to the broker. Without an earlier session whatever it held unacknowledged is gone; devices send it again.",
    counter="agora_ingest_sessions_connected_total",
    labels=("session_present",),
)
CONNECT_FAILED = Event(
    name="ingest.session_refused",
    level="warning",
    help="The broker could not be reached, or refused account or subscription; it is tried again.",
    counter="agora_ingest_sessions_refused_total",
)
SOCKET_MISSED = Event(
    name="ingest.socket_missed",
    level="warning",
    help="The broker's Unix socket could not be entered; the bridge goes over TLS, which costs more.",
    counter="agora_ingest_sockets_missed_total",
)
DISCONNECTED = Event(
    name="ingest.session_lost",
    level="warning",
    help="The connection to the broker ended; it is made anew and unacknowledged messages come again.",
    counter="agora_ingest_sessions_lost_total",
)
STANDING_BY = Event(
    name="ingest.standby_entered",
    help="Another bridge has the session, or is to have it; this one listens and takes over when it falls silent.",
    counter="agora_ingest_standbys_total",
)
TAKING_OVER = Event(
    name="ingest.standby_ended",
    level="warning",
    help="The active bridge fell silent; this one takes its session over. What was unacknowledged comes again, in order.",
    counter="agora_ingest_takeovers_total",
)
ACTIVE = gauge("agora_ingest_active", "1 while this bridge has the broker's session, else 0.")
KAFKA_AWAY = Event(
    name="ingest.kafka_awaited",
    level="warning",
    help="Kafka does not answer yet. Messages stay unacknowledged in the broker until it does.",
    counter="agora_ingest_kafka_awaited_total",
)
READING_PAUSED = Event(
    name="ingest.reading_paused",
    level="warning",
    help="As much waits for Kafka as the bridge may hold; it reads no further until half of it is confirmed.",
    counter="agora_ingest_reading_pauses_total",
)
DISK_LOW = Event(
    name="ingest.disk_low",
    level="error",
    help="The disk of the `folders` is nearly full. Nothing more is read from the broker until there is room: make some.",
    counter="agora_ingest_disk_low_total",
)
DISK_ENOUGH = Event(
    name="ingest.disk_enough",
    help="There is room on the disk of the `folders` again; where no other is low, the bridge reads on.",
)
DISK_UNKNOWN = Event(
    name="ingest.disk_unknown",
    level="warning",
    help="How much is free on the disk of the `folder` cannot be found out any more; look at AGORA_INGEST_DISK_FOLDERS.",
    counter="agora_ingest_disk_unknown_total",
)
READING_RESUMED = Event(name="ingest.reading_resumed", help="Kafka took enough for the bridge to read on.")
RECEIVED = Event(
    name="ingest.messages_received",
    level="debug",
    help="Messages that came from the broker, redelivered ones again.",
    counter="agora_ingest_messages_received_total",
    quiet=True,
)
RECEIVED_BYTES = Event(
    name="ingest.bytes_received",
    level="debug",
    help="Bytes that came from the broker, after TLS.",
    counter="agora_ingest_bytes_received_total",
    quiet=True,
)
CONFIRMED = Event(
    name="ingest.messages_confirmed",
    level="debug",
    help="Messages Kafka has on all replicas.",
    counter="agora_ingest_messages_confirmed_total",
    labels=("topic",),
    quiet=True,
)
FRAMES = Event(
    name="ingest.frames_confirmed",
    level="debug",
    help="Records they travelled in.",
    counter="agora_ingest_frames_confirmed_total",
    labels=("topic",),
    quiet=True,
)
RECEIPTS = Event(
    name="ingest.receipts_sent",
    level="debug",
    help="Receipts handed to the broker for devices.",
    counter="agora_ingest_receipts_sent_total",
    quiet=True,
)
REFUSED = Event(
    name="ingest.messages_refused",
    level="debug",
    help="Messages refused or warned about by the bridge itself, by code; those with rate-exceeded were not taken at all.",
    counter="agora_ingest_messages_refused_total",
    labels=("code",),
    quiet=True,
)
QUOTA_EXCEEDED = Event(
    name="ingest.quota_exceeded",
    level="warning",
    help="A device sends more than its quota; what is beyond is not taken. Told once a minute for each device.",
    counter="agora_ingest_quotas_exceeded_total",
)
ERRORS_FORWARDED = Event(
    name="ingest.errors_forwarded",
    level="debug",
    help="Errors of later stages handed to the broker for devices.",
    counter="agora_ingest_errors_forwarded_total",
    quiet=True,
)
DOWN_REFUSED = Event(
    name="ingest.answer_refused",
    level="error",
    help="The broker did not accept an answer for a device; look at the access rights of the bridge's account.",
    counter="agora_ingest_answers_refused_total",
)
DOWN_UNREADABLE = Event(
    name="ingest.errand_skipped",
    level="error",
    help="A record of agora.down.v1 is not what its contract says and was left out; bridge and streams differ in version.",
    counter="agora_ingest_errands_skipped_total",
)
DOWN_INTERRUPTED = Event(
    name="ingest.errands_interrupted",
    level="warning",
    help="agora.down.v1 could not be read; it is read on from the last committed record, so errors may repeat.",
    counter="agora_ingest_errands_interruptions_total",
)
ANSWERS_DROPPED = Event(
    name="ingest.answers_dropped",
    level="error",
    help="The broker takes no answers, so receipts and errors were left out; devices send again what has no receipt.",
    counter="agora_ingest_answers_dropped_total",
)
WAITING_MESSAGES = gauge("agora_ingest_messages_waiting", "Messages taken from the broker that Kafka has not confirmed.")
WAITING_BYTES = gauge("agora_ingest_bytes_waiting", "Their bytes.")
WAITING_ANSWERS = gauge("agora_ingest_answers_waiting", "Receipts and errors the broker has not acknowledged.")
DISK_FREE = gauge("agora_ingest_disk_free_bytes", "Free on the disk of each folder that a server writes in.", ("folder",))
DELAY = gauge(
    "agora_ingest_delay_seconds",
    "How long the oldest message waits for Kafka or for room on the disk; 0 when none does. Live data is so late.",
)
CONFIRM_SECONDS = histogram(
    "agora_ingest_confirm_seconds", "From the arrival of a frame's first message to Kafka's confirmation."
)
