"""What flagging remembers and sends: the states of the subjects of this worker's partitions.

The working copy is in memory; a compacted topic holds it for a restart. A state goes there in the order in which it was made,
together with the transitions it caused, and the record is acknowledged only after all of it is confirmed.
"""

from __future__ import annotations

from collections.abc import Iterable

from contracts.alerts import AlertCommand, AlertTransition, encode
from contracts.observation import Observation
from contracts.topics import ALERT_COMMANDS, ALERTS, FLAG_STATE, VITALS
from streams import flag_events as events
from streams.outputs import Output
from streams.rules.limits import RuleBook
from streams.rules.state import FlagState, encode_state
from streams.rules.thresholds import Judged, judge, obey

MAX_STATE_BYTES = 512 * 1024
"""Half of what Kafka takes. Series and alerts are bounded to less, so only the transitions kept for a repeat can fill it, when a
device uploads thousands of readings at once: they are then confirmed first and not kept. A state that is larger without them is a
defect and stops the process."""

Stages = list[list[Output]]
"""What to write, each list in order; one is sent only after those before it are confirmed."""


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
        self._generations: dict[int, int] = {}

    def holds(self, partition: int, generation: int) -> bool:
        """Tell whether the states of a partition are here, as of its newest assignment."""
        return self._generations.get(partition) == generation

    def take(self, partition: int, generation: int, states: dict[str, FlagState]) -> None:
        """Begin to work on a partition.

        Args:
            partition: which.
            generation: of the consumer group; another worker may have had the partition since an earlier one.
            states: by subject, as they stand in their topic.
        """
        self._states[partition] = states
        self._generations[partition] = generation

    def forget(self, partition: int) -> None:
        """Drop the states of a partition that was taken away; they are read again when it comes back."""
        self._states.pop(partition, None)
        self._generations.pop(partition, None)

    def vitals(self, observations: Iterable[Observation], partition: int, offset: int) -> Stages:
        """Judge a record of vitals.

        Args:
            observations: of the record.
            partition: of the record; ``take`` came before.
            offset: of the record.

        Returns:
            Transitions and states to write.

        Raises:
            ValueError: when a state grew beyond its bound.
        """
        by_subject: dict[str, list[Observation]] = {}
        subject, own = "", []
        for observation in observations:
            if observation.subject != subject:  # those of one message stand together
                subject = observation.subject
                own = by_subject.setdefault(subject, [])
            own.append(observation)
        first: list[Output] = []
        outputs: list[Output] = []
        for subject, own in by_subject.items():
            state = self._state(partition, subject)
            judged = judge(state, self.book, own, VITALS.name, offset, offset - self._in_flight)
            if judged.keep:
                *before, last = _written(partition, subject, state, judged)
                first += (output for stage in before for output in stage)
                outputs += last
        return [first, outputs] if first else [outputs]

    def command(self, command: AlertCommand, partition: int, offset: int) -> Stages:
        """Take a person's word in.

        Args:
            command: the word.
            partition: of its record; ``take`` came before.
            offset: of its record.

        Returns:
            Transitions and states to write.
        """
        state = self._state(partition, command.subject)
        judged = obey(state, command, ALERT_COMMANDS.name, offset, offset - self._in_flight)
        if not judged.transitions:
            events.COMMAND_WITHOUT_ALERT.emit()
        return _written(partition, command.subject, state, judged)  # a word is kept, also one without effect

    def _state(self, partition: int, subject: str) -> FlagState:
        states = self._states[partition]
        state = states.get(subject)
        if state is None:
            state = states[subject] = FlagState()
        return state


def _written(partition: int, subject: str, state: FlagState, judged: Judged) -> Stages:
    key = subject.encode()
    told = [_told(partition, key, transition) for transition in judged.transitions]
    value = encode_state(state)
    if len(value) <= MAX_STATE_BYTES:
        return [[*told, Output(FLAG_STATE.name, partition, key, value, [])]]
    # Earlier transitions went to the same partition, so that they are confirmed with these, and none has to be kept.
    for mark in state.watermarks.values():
        mark.sent = []
    value = encode_state(state)
    if len(value) > MAX_STATE_BYTES:
        raise ValueError(f"a subject's flag state grew to {len(value)} bytes; at most {MAX_STATE_BYTES} are kept")
    return [told, [Output(FLAG_STATE.name, partition, key, value, [])]]


def _told(partition: int, key: bytes, transition: AlertTransition) -> Output:
    events.ALERT_CHANGED.emit(transition=transition.transition.value, severity=transition.severity.value)
    return Output(ALERTS.name, partition, key, encode(transition), [])
