"""What flagging remembers and sends: the states of the subjects of this worker's partitions.

The working copy is in memory; a compacted topic holds it for a restart. A state goes there in the order in which it was made,
together with the transitions it caused, and the record is acknowledged only after all of it is confirmed.
"""

from __future__ import annotations

from collections.abc import Iterable

from contracts.alerts import AlertCommand, AlertTransition, encode
from contracts.observation import Observation
from contracts.topics import ALERTS, FLAG_STATE
from streams import flag_events as events
from streams.outputs import Output
from streams.rules.limits import RuleBook
from streams.rules.state import FlagState, encode_state
from streams.rules.subject import Subject
from streams.rules.thresholds import Judged

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
        self._subjects: dict[int, dict[str, Subject]] = {}
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
        self._subjects[partition] = {subject: Subject(state) for subject, state in states.items()}
        self._generations[partition] = generation

    def forget(self, partition: int) -> None:
        """Drop the states of a partition that was taken away; they are read again when it comes back."""
        self._subjects.pop(partition, None)
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
        subjects, book, floor = self._subjects[partition], self.book, offset - self._in_flight
        for subject, own in by_subject.items():
            known = subjects.get(subject) or _begun(subjects, subject)
            judged = known.judge(book, own, offset, floor)
            if judged.keep:
                *before, last = _written(partition, subject, known.settled(), judged)
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
        subjects = self._subjects[partition]
        known = subjects.get(command.subject) or _begun(subjects, command.subject)
        judged = known.obey(command, offset, offset - self._in_flight)
        if not judged.transitions:
            events.COMMAND_WITHOUT_ALERT.emit()
        return _written(partition, command.subject, known.settled(), judged)  # a word is kept, also one without effect


def _begun(subjects: dict[str, Subject], name: str) -> Subject:
    subject = subjects[name] = Subject(FlagState())
    return subject


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
