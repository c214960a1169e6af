"""How an alert begins and ends, and what is sent of it."""

from __future__ import annotations

from contracts.alerts import AlertCommand, AlertTransition, Severity, Transition, alert_id
from contracts.ids import id_text
from contracts.observation import Observation, Quality
from streams.rules.limits import Side
from streams.rules.series import holder, series_of
from streams.rules.state import MAX_CLOSED, MAX_OPEN_PAST, FlagState, OpenAlert, SideState


def open_alert(
    state: FlagState, side: Side, observation: Observation, onset: int, held: SideState | None
) -> list[AlertTransition]:
    """Raise an alert, unless it was raised before.

    Args:
        state: the subject's; changed in place.
        side: the limits that were left.
        observation: the reading that shows it.
        onset: when they were left, microseconds.
        held: the series that moves the alert from now on; None for an alert about the past.

    Returns:
        The transitions to send.
    """
    series = series_of(observation)
    name = alert_id(observation.subject, side.key, onset, series)
    if name in state.alerts or name in state.closed:
        return []
    critical = side.critical is not None and side.sign * observation.value > side.critical
    alert = OpenAlert(
        alert=name,
        org=observation.org,
        rule=side.key,
        rule_version=side.version,
        vital=side.vital,
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        onset=onset,
        number=0,
        about_past=held is None or bool(observation.quality & Quality.LATE),
        series=series,
    )
    state.alerts[name] = alert
    made = [moved(alert, Transition.RAISED, observation)]
    if held is not None:
        held.alert = name
    else:
        made += _bound_past(state, observation)
    return made


def _bound_past(state: FlagState, observation: Observation) -> list[AlertTransition]:
    """Close the oldest alerts about the past that nobody answered, so that the state stays small."""
    past = [alert for alert in state.alerts.values() if holder(state, alert) is None]
    return [end_alert(state, alert, observation) for alert in past[: max(0, len(past) - MAX_OPEN_PAST)]]


def end_alert(state: FlagState, alert: OpenAlert, cause: Observation) -> AlertTransition:
    """Resolve an alert because of a reading, and give what to send."""
    forget_alert(state, alert)
    return moved(alert, Transition.RESOLVED, cause)


def forget_alert(state: FlagState, alert: OpenAlert) -> None:
    """Let an alert be open no more."""
    del state.alerts[alert.alert]
    state.closed = [*state.closed, alert.alert][-MAX_CLOSED:]


def moved(alert: OpenAlert, transition: Transition, cause: Observation) -> AlertTransition:
    """Give what to send of an alert that a reading moved."""
    alert.number += 1
    return AlertTransition(
        alert=alert.alert,
        org=alert.org,
        subject=cause.subject,
        rule=alert.rule,
        rule_version=alert.rule_version,
        vital=alert.vital,
        transition=transition,
        severity=alert.severity,
        at=cause.effective_at,
        onset=alert.onset,
        number=alert.number,
        value=cause.value if cause.vital == alert.vital else None,
        unit=cause.unit if cause.vital == alert.vital else "",
        reading=id_text(cause.id),
        about_past=alert.about_past,
        received_at=cause.received_at,
    )


def spoken(alert: OpenAlert, command: AlertCommand) -> AlertTransition:
    """Give what to send of an alert that a person moved."""
    alert.number += 1
    return AlertTransition(
        alert=alert.alert,
        org=alert.org,
        subject=command.subject,
        rule=alert.rule,
        rule_version=alert.rule_version,
        vital=alert.vital,
        transition=command.action,
        severity=alert.severity,
        at=command.at,
        onset=alert.onset,
        number=alert.number,
        by=command.by,
        about_past=alert.about_past,
        received_at=command.at,
        note=command.note,
    )
