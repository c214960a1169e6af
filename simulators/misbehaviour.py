"""Devices as they are in real homes: duplicates, disorder, gaps, garbage, wrong clocks, hours offline. Pure and seeded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from random import Random

from contracts.down import correlation_text
from simulators.garbage import KINDS, spoil
from simulators.messages import Clock, DueMessage, count_values, encode, time_text

_PROBABILITIES = ("duplicates", "disorder", "gaps", "garbage", "offline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Misbehaviour:
    """What goes wrong, and how often.

    Attributes:
        duplicates: probability that a message is sent twice, same bytes and correlation.
        disorder: probability that a message is held back until after the next one.
        gaps: probability that a message is numbered and never sent.
        garbage: probability that a message nobody can use is sent as well; it carries no number of the sequence.
        offline: probability that the device goes offline when it should send; what it has to say waits.
        offline_seconds: for how long, above 0.
        clock_offset_seconds: how far the device's clock is ahead (behind when negative).
        clock_drift_ppm: how fast it gains, microseconds a second.
        seed: the same seed goes wrong in the same places.
    """

    duplicates: float = 0.0
    disorder: float = 0.0
    gaps: float = 0.0
    garbage: float = 0.0
    offline: float = 0.0
    offline_seconds: float = 20.0
    clock_offset_seconds: float = 0.0
    clock_drift_ppm: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: naming the parameter that is out of range.
        """
        for field in fields(self):
            if field.name in _PROBABILITIES and not 0.0 <= getattr(self, field.name) <= 1.0:
                raise ValueError(f"{field.name} is a probability, from 0 to 1")
        if self.offline_seconds <= 0:
            raise ValueError("offline_seconds must be above 0")


WELL_BEHAVED = Misbehaviour()


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it goes over the wire, unchanged however often it is sent.

    Attributes:
        correlation: MQTT 5 correlation data, unique for the device.
        payload: the bytes.
        sequence: number it carries, or None.
        values: how many values it holds; 0 for garbage.
        garbage: made to be refused.
        receipt: whether a receipt can be expected.
    """

    correlation: bytes
    payload: bytes
    sequence: int | None
    values: int
    garbage: bool = False
    receipt: bool = True

    @property
    def correlation_id(self) -> str:
        """As receipts carry it; also the ``message_id`` of devices without MQTT 5."""
        return correlation_text(self.correlation)


@dataclass(frozen=True, slots=True)
class Make:
    """Send a new letter at an instant (microseconds)."""

    at: int
    letter: Letter


@dataclass(frozen=True, slots=True)
class Repeat:
    """Send a letter once more although nobody asked for it."""

    at: int
    letter: Letter


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """A number of the sequence is used up and nothing is sent."""

    at: int
    sequence: int


@dataclass(frozen=True, slots=True)
class GoOffline:
    """Cut the connection for some seconds."""

    at: int
    seconds: float


Step = Make | Repeat | LeaveOut | GoOffline


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who sends, and how.

    Attributes:
        key: ``<org>/<device>``.
        run: 8 bytes that no earlier run of this device used, so that correlations never repeat.
        first_sequence: number of the first message.
        message_ids: put the correlation into the message as ``message_id`` (devices without MQTT 5).
        start: microseconds, from when the clock drifts.
    """

    key: str
    run: bytes
    first_sequence: int = 1
    message_ids: bool = False
    start: int = 0


class _Desk:
    """Writes one device's letters."""

    def __init__(self, identity: Identity, misbehaviour: Misbehaviour) -> None:
        self._identity = identity
        self._clock = Clock(identity.start, misbehaviour.clock_offset_seconds, misbehaviour.clock_drift_ppm)
        self._written = 0

    def _correlation(self) -> bytes:
        self._written += 1
        return self._identity.run + self._written.to_bytes(4, "big")

    def letter(self, message: DueMessage, sequence: int) -> Letter:
        correlation = self._correlation()
        message_id = correlation_text(correlation) if self._identity.message_ids else ""
        payload = encode(message, sequence=sequence, message_id=message_id, clock=self._clock)
        return Letter(correlation, payload, sequence, count_values(message))

    def rubbish(self, message: DueMessage, chance: Random) -> Letter:
        payload = spoil(chance.choice(KINDS), time_text(self._clock.show(message.due)))
        # Without MQTT 5 the receipt hangs on a message_id, which rubbish does not have.
        return Letter(self._correlation(), payload, None, 0, garbage=True, receipt=not self._identity.message_ids)


def steps(messages: Iterable[DueMessage], identity: Identity, misbehaviour: Misbehaviour = WELL_BEHAVED) -> Iterator[Step]:
    """Turn what a device has to say into what it does.

    Args:
        messages: in the order of ``due``.
        identity: who sends.
        misbehaviour: what goes wrong.

    Returns:
        Steps in the order of ``at``; endless when the messages are.
    """
    chance = Random(f"{misbehaviour.seed}/{identity.key}")  # noqa: S311 - reproducible on purpose
    desk = _Desk(identity, misbehaviour)
    held: Letter | None = None
    at = identity.start
    for sequence, message in enumerate(messages, identity.first_sequence):
        at = message.due
        # Always five draws a message, so that one probability does not move the places of another.
        duplicate, disorder, gap, garbage, offline = (chance.random() for _ in range(5))
        if offline < misbehaviour.offline:
            yield GoOffline(at, misbehaviour.offline_seconds)
        if garbage < misbehaviour.garbage:
            yield Make(at, desk.rubbish(message, Random(garbage)))  # noqa: S311 - reproducible on purpose
        if gap < misbehaviour.gaps:
            yield LeaveOut(at, sequence)
            continue
        letter = desk.letter(message, sequence)
        if held is None and disorder < misbehaviour.disorder:
            held = letter
            continue
        yield Make(at, letter)
        if duplicate < misbehaviour.duplicates:
            yield Repeat(at, letter)
        if held is not None:
            yield Make(at, held)
            held = None
    if held is not None:
        yield Make(at, held)
