"""What the keeper tells."""

from __future__ import annotations

from runtime.telemetry import Event, gauge

LEADERSHIP_TAKEN = Event(
    name="keeper.leadership_taken",
    help="This keeper leads: it publishes the registry and keeps the broker's credentials. Others stand by.",
    counter="agora_keeper_leaderships_total",
)
LEADERSHIP_LOST = Event(
    name="keeper.leadership_lost",
    level="warning",
    help="The lock was lost (database away, or this process stood still); it stands by and tries to lead again.",
    counter="agora_keeper_leadership_losses_total",
    labels=("reason",),
)
STANDING_BY = Event(name="keeper.stand_by_begun", help="Another keeper leads; this one waits for it to end.")
DATABASE_MISSED = Event(
    name="keeper.database_missed",
    level="warning",
    help="The database does not answer; the keeper waits for it.",
    counter="agora_keeper_database_misses_total",
)
TASK_INTERRUPTED = Event(
    name="keeper.task_interrupted",
    level="warning",
    help="Kafka, the database or the MQTT broker did not answer a task of the keeper; it is tried again.",
    counter="agora_keeper_task_interruptions_total",
    labels=("task", "reason"),
)
TASK_FAILED = Event(
    name="keeper.task_failed",
    level="error",
    help="A task of the keeper met something it has no answer to; it is tried again, but a human should look.",
    counter="agora_keeper_task_failures_total",
    labels=("task", "reason"),
)
REGISTRY_RESYNCED = Event(
    name="keeper.registry_resynced",
    help="The registry topics agree with the database; told are how many records were missing, old or unknown in Kafka.",
)
DRIFT_REPAIRED = Event(
    name="keeper.drift_repaired",
    level="warning",
    help="A table and the newest outbox record disagreed (changed by hand, or brought up to an ending); the table was published.",
    counter="agora_keeper_drifts_total",
    labels=("topic",),
)
VERSION_RAISED = Event(
    name="keeper.version_raised",
    level="warning",
    help="Kafka holds later versions than the database, which was restored from a backup; everything gets a version above them.",
)
ENDING_KEPT = Event(
    name="keeper.ending_kept",
    level="warning",
    help="This consent, app, device or loan had ended by Kafka's record and went on by the tables: it was ended there, too.",
    counter="agora_keeper_endings_kept_total",
    labels=("topic", "ending"),
)
DATABASE_REPLACED = Event(
    name="keeper.database_replaced",
    level="warning",
    help="The database is another than before (restored, moved): what had ended since was ended in it, what began since is lost.",
    counter="agora_keeper_databases_replaced_total",
)
RECORD_FORGOTTEN = Event(
    name="keeper.record_forgotten",
    level="warning",
    help="Kafka held a record of something the database knows nothing of (begun after a backup?); it was removed.",
    counter="agora_keeper_records_forgotten_total",
    labels=("topic",),
)
RECORDS_PUBLISHED = Event(
    name="keeper.records_published",
    level="debug",
    help="Registry records were confirmed by Kafka.",
    counter="agora_keeper_records_total",
)
HEARTBEATS_SENT = Event(
    name="keeper.heartbeat_sent",
    level="debug",
    help="Heartbeats were confirmed on the registry topics.",
    counter="agora_keeper_heartbeats_total",
    quiet=True,
)
CREDENTIALS_WRITTEN = Event(
    name="keeper.credentials_written",
    help="The broker's password file changed.",
    counter="agora_keeper_credential_files_total",
)
CREDENTIALS_RELOADED = Event(
    name="keeper.credentials_reloaded",
    level="debug",
    help="The broker was told to read its passwords again.",
    counter="agora_keeper_credential_reloads_total",
)
BROKER_MISSED = Event(
    name="keeper.broker_missed",
    level="warning",
    help="The MQTT broker does not run where its process id file says; it reads the passwords when it starts.",
    counter="agora_keeper_broker_misses_total",
)
BROKER_DROPPED = Event(
    name="keeper.broker_messages_dropped",
    level="error",
    help="The MQTT broker dropped messages it had acknowledged: a client's queue was full. Those without a receipt **are lost**.",
    counter="agora_keeper_broker_messages_dropped_total",
)
CLOCK_STEPPED = Event(
    name="keeper.clock_stepped",
    level="error",
    help="The machine's clock was set by `seconds`: arrivals, and what is judged by them, are or were off. Look after its time.",
    counter="agora_keeper_clock_steps_total",
)
ACCOUNTS_MISSED = Event(
    name="keeper.service_accounts_missed",
    level="error",
    help="The file of the services' accounts (AGORA_KEEPER_SERVICE_ACCOUNTS_FILE) cannot be read; nothing is written.",
    counter="agora_keeper_service_accounts_misses_total",
)
APP_PROVISIONED = Event(
    name="keeper.app_provisioned",
    help="An app's topic and rights stand in Kafka.",
    counter="agora_keeper_apps_provisioned_total",
)
APP_REVOKED = Event(
    name="keeper.app_revoked",
    help="An app's rights in Kafka were deleted, then its credential.",
    counter="agora_keeper_apps_revoked_total",
)
APP_CREDENTIAL_MISSED = Event(
    name="keeper.app_credential_missed",
    level="error",
    help="Kafka has no credential for this app (a new Kafka?); the keeper does not know it: give the app a new one.",
    counter="agora_keeper_app_credential_misses_total",
)
HOLES_FOUND = Event(
    name="keeper.ledger_hole_found",
    level="error",
    help="Raw records have no ledger row although later ones have: they were skipped. They are sent through again.",
    counter="agora_keeper_ledger_holes_total",
)
HOLE_RESENT = Event(
    name="keeper.ledger_hole_resent",
    level="warning",
    help="The messages of a skipped raw record were sent through again.",
    counter="agora_keeper_ledger_holes_resent_total",
)
HOLE_LOST = Event(
    name="keeper.ledger_hole_lost",
    level="error",
    help="A skipped raw record stands in Kafka no more: its messages are lost unless their devices send them again.",
    counter="agora_keeper_ledger_holes_lost_total",
)
READINGS_SETTLED = Event(
    name="keeper.readings_settled",
    help="Readings that were in flight during a correction were looked through once more.",
    counter="agora_keeper_settlements_total",
)
ALERTS_MISPLACED = Event(
    name="keeper.alerts_misplaced",
    level="error",
    help="Alerts were open under persons whose readings they were not, as a corrected loan shows; they are resolved. Nothing is"
    " raised for whose the readings are: look after those, `critical` of the alerts were critical (`./agora alerts list --all`).",
    counter="agora_keeper_alerts_misplaced_total",
)
ROWS_PRUNED = Event(
    name="keeper.rows_pruned",
    help="Old rows of outbox and ledger were removed.",
    counter="agora_keeper_rows_pruned_total",
    labels=("table",),
)

LEADER = gauge("agora_keeper_leader", "1 while this keeper leads, 0 while it stands by.")
OUTBOX_PENDING = gauge("agora_keeper_outbox_pending", "Registry records not confirmed by Kafka yet; 0 but for moments.")
HEARTBEAT_AS_OF = gauge(
    "agora_keeper_heartbeat_as_of_seconds", "Instant (Unix time) up to which the registry topics are complete."
)
HOLES_OPEN = gauge("agora_keeper_ledger_holes_open", "Raw records without a ledger row although later ones have one.")
BROKER_HELD = gauge("agora_keeper_broker_messages_held", "Messages the MQTT broker holds; those for the bridge fill its queue.")
DEVICES_ACCEPTED = gauge("agora_keeper_devices_accepted", "Devices in the broker's password file.")
