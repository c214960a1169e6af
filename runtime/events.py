"""What the shared clients tell."""

from __future__ import annotations

from runtime.telemetry import Event

VIEW_INTERRUPTED = Event(
    name="runtime.view_interrupted",
    level="warning",
    help="A registry topic could not be read; it is read again from its start once Kafka answers.",
    counter="agora_runtime_view_interruptions_total",
    labels=("topic",),
)
VIEW_RECORD_REFUSED = Event(
    name="runtime.view_record_refused",
    level="error",
    help="A registry record is not what its model says and was left out; the keeper and this process differ in version.",
    counter="agora_runtime_view_records_refused_total",
    labels=("topic",),
)
