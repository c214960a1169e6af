"""What flagging tells."""

from __future__ import annotations

from runtime.telemetry import Event

ALERT_CHANGED = Event(
    name="streams.alert_changed",
    level="debug",
    help="An alert was raised, acknowledged, escalated, de-escalated or resolved; `agora alerts list` shows them.",
    counter="agora_streams_alert_transitions_total",
    labels=("transition", "severity"),
)
COMMAND_WITHOUT_ALERT = Event(
    name="streams.alert_command_ignored",
    level="warning",
    help="A person spoke about an alert that is not open, or acknowledged it a second time; nothing changed.",
    counter="agora_streams_alert_commands_ignored_total",
)
STATE_UNREADABLE = Event(
    name="streams.flag_state_unreadable",
    level="error",
    help="A subject's flag state could not be read and begins anew; open alerts of that subject will not resolve by themselves.",
    counter="agora_streams_flag_states_unreadable_total",
)
FLAG_RECORD_UNREADABLE = Event(
    name="streams.flag_record_unreadable",
    level="error",
    help="A record of our own topic could not be decoded and was not judged; the store has it in quarantine.",
    counter="agora_streams_flag_records_unreadable_total",
    labels=("topic",),
)
STATES_AWAITED = Event(
    name="streams.flag_states_awaited",
    level="warning",
    help="Kafka does not answer while the flag states of a partition are read; its readings wait, unacknowledged.",
    counter="agora_streams_flag_states_awaited_total",
)
STATES_LOADED = Event(
    name="streams.flag_states_loaded", help="The flag states of a partition were read back; its readings are judged now."
)
