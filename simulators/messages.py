"""What a home device has to say, and how Agora's own JSON format writes it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from catalogue.registry import BY_CODE
from contracts.instants import SECOND, to_datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured value.

    Attributes:
        code: LOINC code.
        value: in ``unit``, as the device shows it; need not be plausible.
        unit: UCUM code.
        site: method or body site, empty when the device names none.
        time: microseconds, when it was measured, or None for the message's own time.
    """

    code: str
    value: float
    unit: str
    site: str = ""
    time: int | None = None


@dataclass(frozen=True, slots=True)
class PanelReading:
    """Values that were measured together, as a blood pressure.

    Attributes:
        code: LOINC code of the panel.
        components: at least one; their own site and time are not sent.
        site: method or body site of all of them.
        time: as in ``Reading``.
    """

    code: str
    components: tuple[Reading, ...]
    site: str = ""
    time: int | None = None


@dataclass(frozen=True, slots=True)
class DueMessage:
    """A message a device is to send.

    Attributes:
        due: microseconds, when it is measured and sent.
        readings: at least one.
    """

    due: int
    readings: tuple[Reading | PanelReading, ...]


def reading(code: str, value: float, site: str = "") -> Reading:
    """Make a reading in the vital's canonical unit.

    Args:
        code: LOINC code the catalogue knows.
        value: in that unit.
        site: method or body site.

    Returns:
        The reading.

    Raises:
        KeyError: when the catalogue does not know the code.
    """
    return Reading(code, value, BY_CODE[code].unit, site)


def count_values(message: DueMessage) -> int:
    """Tell how many values a message holds, a panel's components counted one by one."""
    return sum(len(item.components) if isinstance(item, PanelReading) else 1 for item in message.readings)


def in_batches(messages: Iterable[DueMessage], every: int) -> Iterator[DueMessage]:
    """Let a device collect what it measures and upload it now and then, each reading with its own time.

    Args:
        messages: in the order of ``due``.
        every: microseconds from the first reading of a batch to its upload, above 0.

    Returns:
        Fewer messages with the same readings, in order.
    """
    batch: list[Reading | PanelReading] = []
    upload = 0
    for message in messages:
        if batch and message.due >= upload:
            yield DueMessage(upload, tuple(batch))
            batch = []
        if not batch:
            upload = message.due + every
        batch += (replace(item, time=item.time or message.due) for item in message.readings)
    if batch:
        yield DueMessage(upload, tuple(batch))


@dataclass(frozen=True, slots=True)
class Clock:
    """A device's clock, which may be wrong.

    Attributes:
        start: microseconds, the moment from which it drifts.
        offset_seconds: how far it is ahead at that moment; negative when behind.
        drift_ppm: microseconds it gains in each second; 1 s a day is 11.6.
    """

    start: int = 0
    offset_seconds: float = 0.0
    drift_ppm: float = 0.0

    def show(self, instant: int) -> int:
        """Give what this clock shows at a true instant, both in microseconds."""
        drift = (instant - self.start) * self.drift_ppm / 1_000_000
        return instant + round(self.offset_seconds * SECOND + drift)


TRUE_CLOCK = Clock()
_encoder = msgspec.json.Encoder()


def time_text(instant: int) -> str:
    """Write an instant as devices do: RFC 3339 in UTC with milliseconds.

    Rounded up: a reading taken the moment a loan begins must not claim to be from before it.
    """
    return to_datetime(-(-instant // 1000) * 1000).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(value: float) -> float | int:
    """Leave out the ``.0`` that a device would not show."""
    return int(value) if value.is_integer() else value


def _value_fields(item: Reading) -> dict[str, Any]:
    return {"code": item.code, "value": _number(float(item.value)), "unit": item.unit}


def _item_fields(item: Reading | PanelReading, clock: Clock) -> dict[str, Any]:
    if isinstance(item, PanelReading):
        fields: dict[str, Any] = {"code": item.code, "components": [_value_fields(part) for part in item.components]}
    else:
        fields = _value_fields(item)
    if item.time is not None:
        fields["time"] = time_text(clock.show(item.time))
    if item.site:
        fields["site"] = item.site
    return fields


def body_of(message: DueMessage, *, sequence: int | None, message_id: str = "", clock: Clock = TRUE_CLOCK) -> dict[str, Any]:
    """Lay a message out in Agora's JSON format; a lone plain reading takes the short form.

    Args:
        message: what to say.
        sequence: number of the message, one more than the last; None to send none.
        message_id: at most 64 characters, empty to send none.
        clock: the device's.

    Returns:
        The JSON object.
    """
    body: dict[str, Any] = {"message_id": message_id} if message_id else {}
    if sequence is not None:
        body["sequence"] = sequence
    body["time"] = time_text(clock.show(message.due))
    first = message.readings[0]
    if len(message.readings) == 1 and isinstance(first, Reading) and not first.site and first.time is None:
        return body | _value_fields(first)
    body["readings"] = [_item_fields(item, clock) for item in message.readings]
    return body


def encode(message: DueMessage, *, sequence: int | None, message_id: str = "", clock: Clock = TRUE_CLOCK) -> bytes:
    """Write a message in Agora's JSON format.

    Args:
        message: what to say.
        sequence: as in ``body_of``.
        message_id: as in ``body_of``.
        clock: the device's.

    Returns:
        UTF-8 JSON.
    """
    return to_json(body_of(message, sequence=sequence, message_id=message_id, clock=clock))


def to_json(body: dict[str, Any]) -> bytes:
    """Write a JSON object as UTF-8."""
    return _encoder.encode(body)
