"""Thresholds with hysteresis and persistence: the life of an alert, one reading at a time.

A reading that is implausible or a test never counts. A reading older than the newest one judged never moves the live state; if it
came late and is beyond the critical limit, it opens an alert of its own, labelled as being about the past.

No reading was measured after it arrived: one that claims so counts from its arrival. Else a single reading of a clock that is
ahead would make all that follow look old, and silence the alerts of its subject for as long.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from contracts.alerts import AlertCommand, AlertTransition, Severity, Transition, alert_id
from contracts.ids import id_text
from contracts.instants import MINUTE
from contracts.observation import Observation, Quality
from streams.rules.limits import RuleBook, Side
from streams.rules.state import MAX_CLOSED, MAX_OPEN_PAST, FlagState, OpenAlert, SideState, Watermark

UNTRUSTED = int(Quality.IMPLAUSIBLE | Quality.TEST_DATA)
KEEP_EVERY = MINUTE
MAX_GAP = 10 * MINUTE
"""Two readings further apart than this do not prove that the value stayed outside in between (or ten times the persistence)."""


class Judged(NamedTuple):
    """What a record did to a subject.

    Attributes:
        transitions: to send.
        keep: whether the state must be written to the changelog before the record is acknowledged. False while nothing but
            the time of the newest reading moved on; that is written once a minute of the readings' time.
    """

    transitions: list[AlertTransition]
    keep: bool


def judge(
    state: FlagState, book: RuleBook, observations: Iterable[Observation], source: str, offset: int, floor: int = 0
) -> Judged:
    """Take one subject's observations of one record into its state.

    Args:
        state: the subject's state; changed in place.
        book: the rules in force.
        observations: the subject's observations of the record, in their order.
        source: topic of the record.
        offset: of the record in its partition.
        floor: records of the source below this offset are confirmed.

    Returns:
        The transitions to send, and whether to keep the state. A record that was judged before gives the same transitions
        again: the crash that made it come again may have struck between state and output.
    """
    mark = state.watermarks.get(source)
    if mark is not None and offset <= mark.offset:
        return Judged(mark.again(offset), keep=True)
    made: list[AlertTransition] = []
    keep = False
    newest = 0
    held_by = state.sides
    for observation in observations:
        if observation.quality & UNTRUSTED:
            continue
        at = _moment(observation)
        if at > newest:
            newest = at
        sides = book.sides(observation.subject, observation.vital)
        if state.alerts:
            made += _end_ruleless(state, sides, observation, at)
        for side in sides:
            held = held_by.get(side.key)
            if held is None:
                held = held_by[side.key] = SideState()
            # Nearly every reading is newer than the last and within its limits, as the last one was: nothing to follow up.
            calm = held.outside_since is None and not held.alert and not held.muted
            if calm and at > held.last_at and side.sign * observation.value <= side.limit:
                held.last_at = at
                continue
            before = (held.outside_since, held.muted)
            made += _judge_side(state, side, held, observation, at)
            keep = keep or before != (held.outside_since, held.muted)
    _advance(state, source, offset, made, floor)
    keep = keep or bool(made) or newest - state.kept_at >= KEEP_EVERY
    if keep:
        state.kept_at = max(state.kept_at, newest)
    return Judged(made, keep)


def remind(state: FlagState, book: RuleBook, observations: Iterable[Observation]) -> None:
    """Tell a state that was read back of readings that were judged before and changed nothing but the time of the newest.

    Such a change is written once a minute only. Without it an older reading that comes now would be taken for a newer one.

    Args:
        state: the subject's state; changed in place.
        book: the rules in force.
        observations: the subject's, of records that are acknowledged.
    """
    for observation in observations:
        if observation.quality & UNTRUSTED:
            continue
        at = _moment(observation)
        for side in book.sides(observation.subject, observation.vital):
            held = state.sides.setdefault(side.key, SideState())
            held.last_at = max(held.last_at, at)


def _advance(state: FlagState, source: str, offset: int, made: list[AlertTransition], floor: int) -> None:
    mark = state.watermarks.get(source)
    if mark is None:
        mark = state.watermarks[source] = Watermark(offset)
    mark.advance(offset, made, floor)


def _moment(observation: Observation) -> int:
    effective_at, received_at = observation.effective_at, observation.received_at
    return effective_at if effective_at < received_at else received_at


def _judge_side(state: FlagState, side: Side, held: SideState, observation: Observation, moment: int) -> list[AlertTransition]:
    # Several that claim the future may have come together; they count in their order.
    if moment < held.last_at or (moment == held.last_at and moment == observation.effective_at):
        return _judge_past(state, side, held, observation)
    gap = moment - held.last_at
    held.last_at = moment
    badness = side.sign * observation.value
    alert = state.alerts.get(held.alert)
    if alert is not None:
        return _follow(state, side, held, alert, observation, badness)
    if badness <= side.limit:
        held.outside_since = None
        held.muted = False
        return []
    if held.outside_since is None or gap > max(MAX_GAP, 10 * side.persistence):
        held.outside_since = moment
    if held.muted or moment - held.outside_since < side.persistence:
        return []
    return _open(state, side, observation, held.outside_since, held)


def _follow(
    state: FlagState, side: Side, held: SideState, alert: OpenAlert, observation: Observation, badness: float
) -> list[AlertTransition]:
    """Move an open alert: escalate, de-escalate or resolve it."""
    if badness <= side.limit - side.hysteresis:
        held.alert = ""
        held.outside_since = None
        return [_close(state, alert, observation)]
    if side.critical is None:
        return []
    if alert.severity is Severity.WARNING and badness > side.critical:
        alert.severity = Severity.CRITICAL
        return [_transition(alert, Transition.ESCALATED, observation)]
    if alert.severity is Severity.CRITICAL and badness <= side.critical - side.hysteresis and side.critical != side.limit:
        alert.severity = Severity.WARNING
        return [_transition(alert, Transition.DE_ESCALATED, observation)]
    return []


def _end_ruleless(state: FlagState, sides: Iterable[Side], observation: Observation, moment: int) -> list[AlertTransition]:
    """Resolve the vital's live alerts whose rule is gone, off or replaced by the subject's own: no reading would ever again."""
    judged = {side.key for side in sides}
    made: list[AlertTransition] = []
    for key, held in state.sides.items():
        alert = state.alerts.get(held.alert)
        if alert is None or key in judged or alert.vital != observation.vital or moment <= held.last_at:
            continue
        held.alert, held.outside_since = "", None
        made.append(_close(state, alert, observation))
    return made


def _judge_past(state: FlagState, side: Side, held: SideState, observation: Observation) -> list[AlertTransition]:
    """Open an alert about the past, where a late reading was critical and no open alert speaks of that time.

    A reading that is merely sent again is not late, so a repeat after a crash raises nothing. One that is ahead of its arrival
    and yet older than those before it tells that the platform's own clock was set back: better one alert too many than silence
    until that clock has caught up.
    """
    if side.critical is None or side.sign * observation.value <= side.critical:
        return []
    if not observation.quality & Quality.LATE:
        told = any(alert.rule == side.key for alert in state.alerts.values())
        if told or not observation.quality & Quality.CLOCK_SUSPECT:
            return []
    live = state.alerts.get(held.alert)
    if live is not None and live.onset <= observation.effective_at:
        return []
    if held.outside_since is not None and held.outside_since <= observation.effective_at:
        return []
    return _open(state, side, observation, observation.effective_at, None)


def _open(state: FlagState, side: Side, observation: Observation, onset: int, held: SideState | None) -> list[AlertTransition]:
    name = alert_id(observation.subject, side.key, onset)
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
    )
    state.alerts[name] = alert
    made = [_transition(alert, Transition.RAISED, observation)]
    if held is not None:
        held.alert = name
    else:
        made += _bound_past(state, observation)
    return made


def _bound_past(state: FlagState, observation: Observation) -> list[AlertTransition]:
    """Close the oldest alerts about the past that nobody answered, so that the state stays small."""
    live = {side.alert for side in state.sides.values()}
    past = [alert for alert in state.alerts.values() if alert.alert not in live]
    return [_close(state, alert, observation) for alert in past[: max(0, len(past) - MAX_OPEN_PAST)]]


def _close(state: FlagState, alert: OpenAlert, observation: Observation) -> AlertTransition:
    del state.alerts[alert.alert]
    state.closed = [*state.closed, alert.alert][-MAX_CLOSED:]
    return _transition(alert, Transition.RESOLVED, observation)


def _transition(alert: OpenAlert, transition: Transition, cause: Observation) -> AlertTransition:
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


def obey(state: FlagState, command: AlertCommand, source: str, offset: int, floor: int = 0) -> Judged:
    """Take a person's word about an alert into the subject's state.

    Args:
        state: the subject's state; changed in place.
        command: acknowledge or resolve.
        source: topic of the command.
        offset: of the command in its partition.
        floor: records of the source below this offset are confirmed.

    Returns:
        The transition to send; none where the alert is not open, or acknowledged already; for a repeated command what it
        caused the first time.
    """
    mark = state.watermarks.get(source)
    if mark is not None and offset <= mark.offset:
        return Judged(mark.again(offset), keep=True)
    alert = state.alerts.get(command.alert)
    made: list[AlertTransition] = []
    if alert is not None and command.action is Transition.ACKNOWLEDGED and not alert.acknowledged:
        alert.acknowledged = True
        made = [_spoken(alert, command)]
    elif alert is not None and command.action is Transition.RESOLVED:
        del state.alerts[alert.alert]
        state.closed = [*state.closed, alert.alert][-MAX_CLOSED:]
        for side in state.sides.values():
            if side.alert == alert.alert:
                side.alert, side.outside_since, side.muted = "", None, True
        made = [_spoken(alert, command)]
    _advance(state, source, offset, made, floor)
    return Judged(made, keep=True)


def _spoken(alert: OpenAlert, command: AlertCommand) -> AlertTransition:
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
