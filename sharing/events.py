"""What the router tells. Labels are apps and closed words, never a subject, a consent or a value."""

from __future__ import annotations

from runtime.telemetry import Event, gauge, histogram

ROUTER_STARTED = Event(
    name="sharing.router_started", help="The router knows all consents, apps and devices and begins to release."
)
ROUTER_STOPPED = Event(
    name="sharing.router_stopped", help="The router ended in good order; what it had not finished it does again."
)
LEASE_LOST = Event(
    name="sharing.lease_lost",
    level="warning",
    help="The registry's heartbeat is older than the lease allows: nothing is released until it is back. Is the keeper running?",
    counter="agora_sharing_leases_lost_total",
)
LEASE_REGAINED = Event(name="sharing.lease_regained", help="The registry's heartbeat is back; the router goes on where it held.")
READINGS_RELEASED = Event(
    name="sharing.readings_released",
    level="debug",
    help="Readings appended to an app's topic, repeats after a restart included.",
    counter="agora_sharing_readings_released_total",
    labels=("app",),
    quiet=True,
)
READINGS_REFUSED = Event(
    name="sharing.readings_refused",
    level="debug",
    help="Readings withheld from an app, by reason (sharing.release.Refusal).",
    counter="agora_sharing_readings_refused_total",
    labels=("app", "reason"),
    quiet=True,
)
BATCH_RECONSIDERED = Event(
    name="sharing.batch_reconsidered",
    level="debug",
    help="A batch was not sent because what it relied on changed or the lease ran out right before sending; it was decided anew.",
    counter="agora_sharing_batches_reconsidered_total",
    labels=("app",),
)
DELIVERY_FAILED = Event(
    name="sharing.delivery_failed",
    level="warning",
    help="Kafka did not confirm a batch; it is decided and sent again. If it lasts: does the app's topic exist?",
    counter="agora_sharing_deliveries_failed_total",
    labels=("app",),
)
LOG_FAILED = Event(
    name="sharing.access_log_failed",
    level="warning",
    help="The database did not take what must be recorded; the router waits and tries again before it goes on.",
    counter="agora_sharing_access_log_failures_total",
)
COMMIT_FAILED = Event(
    name="sharing.commit_failed",
    level="warning",
    help="Kafka did not take the router's offsets, as when the group changed; what was released may be repeated.",
    counter="agora_sharing_commits_failed_total",
)
RECORD_UNREADABLE = Event(
    name="sharing.record_unreadable",
    level="error",
    help="A record of agora.vitals.v1 is not a vitals frame and was released to nobody; streams and router differ in version.",
    counter="agora_sharing_records_unreadable_total",
)
WITHDRAWAL_NOTIFIED = Event(
    name="sharing.withdrawal_notified",
    help="An app was told on its topic that a consent ended and its data must be erased.",
    counter="agora_sharing_withdrawals_notified_total",
    labels=("app",),
)
HOLDING = gauge("agora_sharing_router_holding", "1 while the router has no lease and releases nothing.")
LEASE_AGE = gauge(
    "agora_sharing_lease_age_seconds",
    "Age of the oldest of the registry's heartbeats (consents, apps, devices) when last looked at.",
)
KNOWN_VERSION = gauge(
    "agora_sharing_known_version", "Version of the newest change of the registry the router knows, by topic.", ("topic",)
)
RELEASE_SECONDS = histogram(
    "agora_sharing_release_seconds", "From arrival at the bridge to appended on the app's topic, newest per batch."
)
NOTICE_FAILED = Event(
    name="sharing.notice_failed",
    level="warning",
    help="An app could not be told of a withdrawal yet; it is tried again. Delivery had stopped already.",
    counter="agora_sharing_notices_failed_total",
    labels=("app",),
)
