"""Thresholds with hysteresis and persistence: the life of an alert, one reading at a time.

Each series (what one device measures of a vital at one site) is judged for itself. A reading that is implausible or a test never
counts. One older than the series' newest never moves the live state; if it came late, is beyond the critical limit and lies in no
time outside that was judged before, it opens an alert of its own, labelled as being about the past.

No reading was measured after it arrived: one that claims so counts from its arrival. Else a single reading of a clock that is
ahead would make all that follow look old, and silence the alerts of its subject for as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from contracts.alerts import AlertCommand, AlertTransition, Severity, Transition
from contracts.instants import HOUR, MINUTE
from contracts.observation import Observation, Quality
from streams.rules.life import end_alert, forget_alert, moved, open_alert, spoken
from streams.rules.limits import NO_LIMITS, RuleBook, Side
from streams.rules.series import begin, crowded_out, end_episode, forget, holder, series_of, was_judged
from streams.rules.state import FlagState, OpenAlert, SideState, Watermark

UNTRUSTED = int(Quality.IMPLAUSIBLE | Quality.TEST_DATA)
KEEP_EVERY = MINUTE
MAX_GAP = 10 * MINUTE
"""Two readings further apart than this do not prove that the value stayed outside in between (or ten times the persistence)."""
SILENCE = 24 * HOUR
"""After this long without a reading of the series that raised it, an alert ends with the next normal one of another series: the
sensor was taken off or replaced, and no reading of its own would ever end it."""
_NONE: Mapping[str, SideState] = MappingProxyType({})


class Judged(msgspec.Struct, frozen=True):
    """What a record did to a subject.

    Attributes:
        transitions: to send.
        keep: whether the state must be written to the changelog before the record is acknowledged. False while nothing but
            the time of the newest reading moved on; that is written once a minute of the readings' time.
    """

    transitions: list[AlertTransition]
    keep: bool


def judge(
    state: FlagState,
    book: RuleBook,
    observations: Sequence[Observation],
    source: str,
    offset: int,
    floor: int = 0,
    newest: int = 0,
) -> Judged:
    """Take one subject's observations of one record into its state.

    Args:
        state: the subject's state; changed in place.
        book: the rules in force.
        observations: the subject's observations of the record, in their order; at least one.
        source: topic of the record.
        offset: of the record in its partition.
        floor: records of the source below this offset are confirmed.
        newest: time of the newest reading of the record that was taken in before, microseconds.

    Returns:
        The transitions to send, and whether to keep the state. A record that was judged before gives the same transitions
        again: the crash that made it come again may have struck between state and output.
    """
    mark = state.watermarks.get(source)
    if mark is not None and offset <= mark.offset:
        return Judged(mark.again(offset), keep=True)
    made: list[AlertTransition] = []
    keep = False
    org = device = site = series = ""
    held_by = _NONE
    limits = book.limits(observations[0].subject)
    for observation in observations:
        if observation.quality & UNTRUSTED:
            continue
        at = moment_of(observation)
        if at > newest:
            newest = at
        sides = limits.get(observation.vital, NO_LIMITS).sides
        if state.alerts:
            made += _end_left(state, sides, observation, at)
        # Mostly the same as the reading before in its record.
        if observation.device != device or observation.site != site or observation.org != org:
            org, device, site = observation.org, observation.device, observation.site
            series = series_of(observation)
            held_by = state.series.get(series, _NONE)
        for side in sides:
            held = held_by.get(side.key)
            if held is None:
                held = _begin(state, side, series, observation, made)
                held_by = state.series[series]
            # Nearly every reading is newer than the last and within its limits, as the last one was: nothing to follow up.
            if held.calm and at > held.last_at and side.sign * observation.value <= side.limit:
                held.last_at = at
                continue
            before = (held.outside_since, held.muted)
            made += _judge_side(state, side, held, observation, at)
            keep = keep or before != (held.outside_since, held.muted)
    _advance(state, source, offset, made, floor)
    return Judged(made, _keep(state, keep or bool(made), newest))


def newest_of(observations: Iterable[Observation]) -> int:
    """Give the time of the newest reading that counts, microseconds; 0 where none does."""
    return max((moment_of(one) for one in observations if not one.quality & UNTRUSTED), default=0)


def _keep(state: FlagState, changed: bool, newest: int) -> bool:
    keep = changed or newest - state.kept_at >= KEEP_EVERY
    if keep:
        state.kept_at = max(state.kept_at, newest)
    return keep


def _begin(state: FlagState, side: Side, series: str, observation: Observation, made: list[AlertTransition]) -> SideState:
    leaving = crowded_out(state, series, side.key)
    if leaving is not None:
        alert = state.alerts.get(forget(state, *leaving).alert)
        if alert is not None:
            made.append(end_alert(state, alert, observation))
    return begin(state, series, side.key)


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
        at = moment_of(observation)
        series = series_of(observation)
        for side in book.limits(observation.subject).get(observation.vital, NO_LIMITS).sides:
            held = state.series.get(series, _NONE).get(side.key) or _begin_quietly(state, side, series)
            if held is not None:
                held.last_at = max(held.last_at, at)


def _begin_quietly(state: FlagState, side: Side, series: str) -> SideState | None:
    """Begin a series unless that would end an alert: to judge the series did that, and so it was written."""
    leaving = crowded_out(state, series, side.key)
    if leaving is not None:
        if state.series[leaving[0]][leaving[1]].alert:
            return None
        forget(state, *leaving)
    return begin(state, series, side.key)


def _advance(state: FlagState, source: str, offset: int, made: list[AlertTransition], floor: int) -> None:
    mark = state.watermarks.get(source)
    if mark is None:
        mark = state.watermarks[source] = Watermark(offset)
    mark.advance(offset, made, floor)


def moment_of(observation: Observation) -> int:
    """Give the time by which a reading is judged, microseconds: when it was measured, or when it arrived if that is earlier."""
    effective_at, received_at = observation.effective_at, observation.received_at
    return effective_at if effective_at < received_at else received_at


def _judge_side(state: FlagState, side: Side, held: SideState, observation: Observation, moment: int) -> list[AlertTransition]:
    # Several that claim the future may have come together; they count in their order.
    if moment < held.last_at or (moment == held.last_at and moment == observation.effective_at):
        return _judge_past(state, side, held, observation)
    before, held.last_at = held.last_at, moment
    badness = side.sign * observation.value
    alert = state.alerts.get(held.alert)
    if alert is not None:
        return _follow(state, side, held, alert, observation, badness)
    if badness <= side.limit:
        end_episode(held, before)
        held.muted = False
        return []
    if moment - before > max(MAX_GAP, 10 * side.persistence):
        end_episode(held, before)
    if held.outside_since is None:
        held.outside_since = moment
    if held.muted or moment - held.outside_since < side.persistence:
        return []
    return open_alert(state, side, observation, held.outside_since, held)


def _follow(
    state: FlagState, side: Side, held: SideState, alert: OpenAlert, observation: Observation, badness: float
) -> list[AlertTransition]:
    """Move an open alert: escalate, de-escalate or resolve it."""
    if badness <= side.limit - side.hysteresis:
        held.alert = ""
        end_episode(held, held.last_at)
        return [end_alert(state, alert, observation)]
    if side.critical is None:
        return []
    if alert.severity is Severity.WARNING and badness > side.critical:
        alert.severity = Severity.CRITICAL
        return [moved(alert, Transition.ESCALATED, observation)]
    if alert.severity is Severity.CRITICAL and badness <= side.critical - side.hysteresis and side.critical != side.limit:
        alert.severity = Severity.WARNING
        return [moved(alert, Transition.DE_ESCALATED, observation)]
    return []


def _end_left(state: FlagState, sides: Iterable[Side], observation: Observation, moment: int) -> list[AlertTransition]:
    """Resolve the vital's live alerts that their own series would never end.

    Their rule is gone, off or replaced by the subject's own; or the series fell silent, and another one is back to normal.
    """
    in_force = {side.key: side for side in sides}
    series = series_of(observation)
    made: list[AlertTransition] = []
    for alert in [alert for alert in state.alerts.values() if alert.vital == observation.vital]:
        held = holder(state, alert)
        if held is None or moment <= held.last_at:
            continue
        side = in_force.get(alert.rule)
        if side is not None:
            silent = alert.series not in ("", series) and moment - held.last_at >= SILENCE
            if not silent or side.sign * observation.value > side.limit - side.hysteresis:
                continue
        held.alert = ""
        end_episode(held, held.last_at)
        made.append(end_alert(state, alert, observation))
    return made


def _judge_past(state: FlagState, side: Side, held: SideState, observation: Observation) -> list[AlertTransition]:
    """Open an alert about the past, where a late reading was critical and that time was not judged before.

    A reading that is merely sent again is not late, so a repeat after a crash raises nothing. One that is ahead of its arrival
    and yet older than those before it tells that the platform's own clock was set back: better one alert too many than silence
    until that clock has caught up.
    """
    if side.critical is None or side.sign * observation.value <= side.critical:
        return []
    if not observation.quality & Quality.LATE:
        series = series_of(observation)
        told = any(alert.rule == side.key and alert.series in ("", series) for alert in state.alerts.values())
        if told or not observation.quality & Quality.CLOCK_SUSPECT:
            return []
    live = state.alerts.get(held.alert)
    if live is not None and live.onset <= observation.effective_at:
        return []
    if held.outside_since is not None and held.outside_since <= observation.effective_at:
        return []
    if was_judged(held, observation.effective_at):
        return []
    return open_alert(state, side, observation, observation.effective_at, None)


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
        made = [spoken(alert, command)]
    elif alert is not None and command.action is Transition.RESOLVED:
        held = holder(state, alert)
        if held is not None:
            if command.misplaced:
                held.outside_since = None  # it was not this subject who was outside
            end_episode(held, held.last_at)
            held.alert, held.muted = "", not command.misplaced
        forget_alert(state, alert)
        made = [spoken(alert, command)]
    _advance(state, source, offset, made, floor)
    return Judged(made, keep=True)
