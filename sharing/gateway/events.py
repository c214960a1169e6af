"""What the gateway tells. No line holds a value, a secret, a token, or what a client wrote."""

from __future__ import annotations

from runtime.telemetry import Event, histogram

REQUEST_ANSWERED = Event(
    name="sharing.request_answered",
    level="info",
    help="The gateway answered a request; route is the pattern, never the path with its ids.",
    counter="agora_sharing_requests_total",
    labels=("route", "status"),
)
REQUEST_FAILED = Event(
    name="sharing.request_failed",
    level="error",
    help="A request met an error that nobody expected and was answered with 500; reason names its kind.",
    counter="agora_sharing_request_failures_total",
    labels=("route",),
)
DEPENDENCY_MISSED = Event(
    name="sharing.dependency_missed",
    level="warning",
    help="The database or Kafka did not answer the gateway; the request was answered with 503 and may be tried again.",
    counter="agora_sharing_dependency_misses_total",
    labels=("dependency",),
)
TOKEN_ISSUED = Event(
    name="sharing.token_issued",
    level="info",
    help="An app was given an access token.",
    counter="agora_sharing_tokens_issued_total",
)
TOKEN_REFUSED = Event(
    name="sharing.token_refused",
    level="warning",
    help="A client gave no valid credentials or asked too often (it then waits); also in the access log.",
    counter="agora_sharing_tokens_refused_total",
    labels=("reason",),
)
ACCESS_REFUSED = Event(
    name="sharing.access_refused",
    level="info",
    help="An app asked for what it may not see, or came without a valid token; with the app and subject in the access log.",
    counter="agora_sharing_accesses_refused_total",
    labels=("reason",),
)
READINGS_ANSWERED = Event(
    name="sharing.readings_answered",
    level="debug",
    help="Readings left the platform by FHIR, after the access log took them.",
    counter="agora_sharing_readings_answered_total",
)
WEBHOOK_DELIVERED = Event(
    name="sharing.webhook_delivered",
    level="debug",
    help="The alert webhook took a transition.",
    counter="agora_sharing_webhooks_delivered_total",
)
WEBHOOK_FAILED = Event(
    name="sharing.webhook_failed",
    level="warning",
    help="The alert webhook did not answer with 2xx; the transition is sent again until it does, and later ones wait.",
    counter="agora_sharing_webhooks_failed_total",
)
WEBHOOK_INTERRUPTED = Event(
    name="sharing.webhook_interrupted",
    level="warning",
    help="The alerts could not be read from Kafka; reading goes on once it answers.",
    counter="agora_sharing_webhook_interruptions_total",
)
WEBHOOK_SKIPPED = Event(
    name="sharing.webhook_skipped",
    level="error",
    help="A record of the alerts topic is no alert transition and was not posted; streams and gateway differ in version.",
    counter="agora_sharing_webhooks_skipped_total",
)
GATEWAY_STARTED = Event(name="sharing.gateway_started", level="info", help="The gateway takes requests.")
GATEWAY_STOPPED = Event(name="sharing.gateway_stopped", level="info", help="The gateway finished its requests and ended.")
REQUEST_SECONDS = histogram("agora_sharing_request_seconds", "Time from request to answer, in seconds.", ("route",))
