"""What the store tells."""

from __future__ import annotations

from runtime.telemetry import Event, gauge, histogram

BATCH_WRITTEN = Event(
    name="storage.batch_written",
    level="debug",
    help="A transaction with readings, ledger rows and offsets was committed.",
    counter="agora_storage_batches_total",
)
READINGS_WRITTEN = Event(
    name="storage.readings_written",
    level="debug",
    help="What became of readings: stored, duplicate, or quarantined.",
    counter="agora_storage_readings_total",
    labels=("outcome",),
    quiet=True,
)
RECORD_REFUSED = Event(
    name="storage.record_refused",
    level="error",
    help="A record could not be read or was refused by the database; it is in quarantine whole. A version of Agora is at fault.",
    counter="agora_storage_records_refused_total",
    labels=("topic", "code"),
)
READING_REFUSED = Event(
    name="storage.readings_refused",
    level="warning",
    help="Readings were set aside in quarantine: a conflict of values, an unknown device or subject, a site more"
    " than the device may have, or a number out of range.",
    counter="agora_storage_readings_refused_total",
    labels=("code",),
)
TRANSACTION_RETRIED = Event(
    name="storage.transaction_retried",
    level="warning",
    help="The database undid a transaction (a deadlock or a lock not given); it is run again.",
    counter="agora_storage_transactions_retried_total",
)
WRITER_FENCED = Event(
    name="storage.writer_fenced",
    level="warning",
    help="Another store has written these partitions; this one undid its transaction and reads its positions anew.",
    counter="agora_storage_writer_fenced_total",
)
HOLDER_ENDED = Event(
    name="storage.holder_ended",
    level="warning",
    help="An earlier owner of this store's partitions stood still in its transaction; its session was ended, what it had not"
    " committed is written by this store. Is a store, or its machine, frozen or gone?",
    counter="agora_storage_holders_ended_total",
)
DATABASE_AWAITED = Event(
    name="storage.database_awaited",
    level="warning",
    help="The database does not answer, or others keep a lock; Kafka holds what comes until it goes on.",
    counter="agora_storage_database_awaited_total",
)
KAFKA_AWAITED = Event(
    name="storage.kafka_awaited",
    level="warning",
    help="Kafka does not answer; the store waits.",
    counter="agora_storage_kafka_awaited_total",
)
RECORDS_EXPIRED = Event(
    name="storage.records_expired",
    level="error",
    help="Records had passed Kafka's retention before they were stored, and are lost. Was the store down for days?",
    counter="agora_storage_records_expired_total",
    labels=("topic",),
)
TOPIC_RESET = Event(
    name="storage.topic_reset",
    level="error",
    help="Kafka's topic begins again below what the database has stored: Kafka lost its data or was set up anew. The store stops,"
    " since it would take new records for stored ones. Give Kafka its data back, or begin with an empty database too.",
    counter="agora_storage_topics_reset_total",
    labels=("topic",),
)
POSITIONS_LOADED = Event(
    name="storage.positions_loaded", help="Partitions were assigned; the store goes on where the database says."
)
STARTED = Event(name="storage.store_started", help="The store reads.")
STOPPED = Event(name="storage.store_stopped", help="The store has finished its transaction and left its group.")
FAILED = Event(
    name="storage.store_failed",
    level="error",
    help="Something happened that must not; the store stops with nothing half-written and its supervisor starts it again.",
    counter="agora_storage_failures_total",
)

COMMIT_SECONDS = histogram("agora_storage_transaction_seconds", "Duration of a transaction.")
LATENCY_SECONDS = histogram(
    "agora_storage_latency_seconds", "From a message's arrival at the bridge to its commit, some samples a transaction."
)
DELAY = gauge(
    "agora_storage_delay_seconds",
    "How old the oldest record is that the store knows of and has not stored. Stored data is so late.",
)
LAG = gauge("agora_storage_lag_records", "Records in Kafka that are not stored yet.", ("topic",))
