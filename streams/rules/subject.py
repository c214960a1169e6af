"""A subject's state with a short way for ordinary readings.

Such a reading is within all limits, as was the newest one of its series; and nothing of the subject is open. Nearly every one is.

All that it moves is a time, where it is the newest, and the offset of its record. The time is kept here once for all sides of its
vital. Both are entered in the state before anything else reads it. What is kept here is derived from the state and never written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contracts.alerts import AlertCommand
from contracts.observation import Observation
from contracts.topics import ALERT_COMMANDS, VITALS
from streams.rules.limits import Limits, RuleBook
from streams.rules.series import series_of
from streams.rules.state import FlagState
from streams.rules.thresholds import KEEP_EVERY, UNTRUSTED, Judged, judge, newest_of, obey

_ORDINARY = Judged([], keep=False)
"""Of every record of ordinary readings; never altered."""


class Subject:
    """Takes the records of one subject in, with the results that ``judge`` and ``obey`` would have."""

    __slots__ = ("_calm", "_device", "_edition", "_limits", "_offset", "_org", "_series", "_site", "_state", "_until")

    def __init__(self, state: FlagState) -> None:
        """Take over a state.

        Args:
            state: the subject's, as it was read back or empty; from now on ``settled`` gives it.
        """
        self._state = state
        self._edition: object = None
        self._limits: Mapping[str, Limits] = {}
        self._offset = self._until = 0
        self._reopen()

    def judge(self, book: RuleBook, observations: Sequence[Observation], offset: int, floor: int = 0) -> Judged:
        """Take the subject's observations of one record of vitals in; see ``thresholds.judge``.

        Args:
            book: the rules in force.
            observations: the subject's observations of the record, in their order; at least one.
            offset: of the record in its partition.
            floor: records below this offset are confirmed.

        Returns:
            The transitions to send, and whether to keep the state.
        """
        if book.edition is not self._edition:
            self.settled()
            self._edition, self._limits = book.edition, book.limits(observations[0].subject)
        passed = self._pass(observations) if self._until and offset > self._offset else 0
        if passed == len(observations):
            self._offset = offset
            return _ORDINARY
        newest = newest_of(observations[:passed])
        judged = judge(self.settled(), book, observations[passed:], VITALS.name, offset, floor, newest)
        self._reopen()
        return judged

    def obey(self, command: AlertCommand, offset: int, floor: int = 0) -> Judged:
        """Take a person's word about an alert in; see ``thresholds.obey``.

        Args:
            command: acknowledge or resolve.
            offset: of the command in its partition.
            floor: commands below this offset are confirmed.

        Returns:
            The transition to send, if any; the state is to be kept.
        """
        judged = obey(self.settled(), command, ALERT_COMMANDS.name, offset, floor)
        self._reopen()
        return judged

    def settled(self) -> FlagState:
        """Give the state, with all that ordinary readings moved entered in it."""
        state = self._state
        for series, calm in self._series.items():
            for vital, at in calm.items():
                for side in self._limits[vital].sides:
                    state.series[series][side.key].last_at = at
        if self._until:
            state.watermarks[VITALS.name].offset = self._offset
        self._forget()
        return state

    def _reopen(self) -> None:
        """Find out behind which offset and until which time readings may be ordinary, after others moved the state.

        None is while an alert is open or a transition may be unconfirmed, and none with which the state is to be kept once more.
        """
        self._forget()
        state, mark = self._state, self._state.watermarks.get(VITALS.name)
        self._offset = -1 if mark is None else mark.offset
        self._until = 0 if mark is None or mark.sent or state.alerts else state.kept_at + KEEP_EVERY

    def _forget(self) -> None:
        # By series, then by vital: time of the newest reading, where the series is calm. Looked up in the state at the first.
        self._series: dict[str, dict[str, int]] = {}
        # The latest reading's series, which is mostly the next one's, too.
        self._calm: dict[str, int] = {}
        self._org = self._device = self._site = ""

    def _pass(self, observations: Sequence[Observation]) -> int:
        """Take ordinary readings in, and give how many stand before the first that is none."""
        limits, until, calm = self._limits, self._until, self._calm
        latest = 0
        for number, observation in enumerate(observations):
            if observation.quality & UNTRUSTED:
                continue
            effective_at, at = observation.effective_at, observation.received_at
            if effective_at < at:
                at = effective_at
            if at != latest:  # the readings of a message have one time: it is kept as one object
                if at >= until:
                    return number
                latest = at
            vital = observation.vital
            limit = limits.get(vital)
            if limit is None:
                continue
            if observation.device != self._device or observation.site != self._site or observation.org != self._org:
                calm = self._turn_to(observation)
            last_at = calm.get(vital)
            if last_at is None:
                last_at = self._find(limit, observation)
            if last_at is None or not limit.low <= observation.value <= limit.high:
                return number
            calm[vital] = latest if at > last_at else last_at  # an older one within all limits tells nothing
        return len(observations)

    def _turn_to(self, observation: Observation) -> dict[str, int]:
        self._org, self._device, self._site = observation.org, observation.device, observation.site
        self._calm = self._series.setdefault(series_of(observation), {})
        return self._calm

    def _find(self, limit: Limits, observation: Observation) -> int | None:
        """Look up the newest reading of a calm series; None where a side is not calm, or stands at another reading."""
        known = self._state.series.get(series_of(observation), {})
        first = known.get(limit.sides[0].key)
        if first is None:
            return None
        for side in limit.sides:
            held = known.get(side.key)
            if held is None or not held.calm or held.last_at != first.last_at:
                return None
        self._calm[limit.sides[0].vital] = first.last_at  # the rule's name of it: every reading has a copy of its own
        return first.last_at
