"""What flagging remembers and sends: the states of the subjects of this worker's partitions, in front of the Faust table.

The working copy is the cache; the table holds what was written for a restart. A state goes into the changelog in the same order
in which it was made, together with the transitions it caused, and the record is acknowledged only after all of it is confirmed.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping

import msgspec

from contracts.alerts import AlertCommand, AlertTransition, encode
from contracts.observation import Observation
from contracts.topics import ALERT_COMMANDS, ALERTS, FLAG_STATE, VITALS
from streams import flag_events as events
from streams.outputs import Output
from streams.rules.limits import RuleBook
from streams.rules.state import FlagState, decode_state, encode_state
from streams.rules.thresholds import Judged, judge, obey

MAX_STATE_BYTES = 256 * 1024
"""Far above any honest state, far below what Kafka takes; a larger one is a defect and stops the process."""


class FlagDesk:
    """Judges records of vitals and commands, one partition's subjects kept apart from another's.

    Attributes:
        book: the rules in force; replaced when one changes.
    """

    def __init__(self, in_flight: int) -> None:
        """Prepare an empty desk.

        Args:
            in_flight: records of one partition that may be unconfirmed at most.
        """
        self.book = RuleBook()
        self._in_flight = in_flight
        self._states: dict[int, dict[str, FlagState]] = {}

    def forget(self, partition: int) -> None:
        """Drop the states of a partition that was taken away; they are read from the table when it comes back."""
        self._states.pop(partition, None)

    def vitals(
        self, table: MutableMapping[bytes, bytes], observations: Iterable[Observation], partition: int, offset: int
    ) -> list[Output]:
        """Judge a record of vitals.

        Args:
            table: the Faust table, within the event's context.
            observations: of the record.
            partition: of the record.
            offset: of the record.

        Returns:
            Transitions and states to write, in order.
        """
        by_subject: dict[str, list[Observation]] = {}
        for observation in observations:
            by_subject.setdefault(observation.subject, []).append(observation)
        outputs: list[Output] = []
        for subject, own in by_subject.items():
            state = self._state(table, partition, subject)
            judged = judge(state, self.book, own, VITALS.name, offset, offset - self._in_flight)
            outputs += self._written(table, partition, subject, state, judged)
        return outputs

    def command(self, table: MutableMapping[bytes, bytes], command: AlertCommand, partition: int, offset: int) -> list[Output]:
        """Take a person's word in.

        Args:
            table: the Faust table, within the event's context.
            command: the word.
            partition: of its record.
            offset: of its record.

        Returns:
            Transitions and states to write, in order.
        """
        state = self._state(table, partition, command.subject)
        judged = obey(state, command, ALERT_COMMANDS.name, offset, offset - self._in_flight)
        if not judged.transitions:
            events.COMMAND_WITHOUT_ALERT.emit()
        return self._written(table, partition, command.subject, state, judged)

    def _state(self, table: MutableMapping[bytes, bytes], partition: int, subject: str) -> FlagState:
        states = self._states.setdefault(partition, {})
        state = states.get(subject)
        if state is None:
            state = states[subject] = self._kept(table, subject)
        return state

    @staticmethod
    def _kept(table: MutableMapping[bytes, bytes], subject: str) -> FlagState:
        value = table.get(subject.encode())
        if value is None:
            return FlagState()
        try:
            return decode_state(value)
        except msgspec.DecodeError as error:
            events.STATE_UNREADABLE.emit(reason=type(error).__name__)
            return FlagState()

    @staticmethod
    def _written(
        table: MutableMapping[bytes, bytes], partition: int, subject: str, state: FlagState, judged: Judged
    ) -> list[Output]:
        if not judged.keep:
            return []
        key = subject.encode()
        value = encode_state(state)
        if len(value) > MAX_STATE_BYTES:
            raise ValueError(f"a subject's flag state grew to {len(value)} bytes; at most {MAX_STATE_BYTES} are kept")
        table[key] = value
        told = [_told(partition, key, transition) for transition in judged.transitions]
        return [*told, Output(FLAG_STATE.name, partition, key, value, [])]


def _told(partition: int, key: bytes, transition: AlertTransition) -> Output:
    events.ALERT_CHANGED.emit(transition=transition.transition.value, severity=transition.severity.value)
    return Output(ALERTS.name, partition, key, encode(transition), [])
