"""What every format gives: readings as the device meant them, units and codes not yet judged."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from contracts.errors import Code


class Reading(msgspec.Struct, gc=False):
    """One reading, or one component of a panel.

    Attributes:
        code: LOINC code as sent.
        value: as sent, finite.
        unit: as sent.
        time: instant in microseconds, by the device's clock.
        sequence: the device's number, or None.
        site: method or body site, empty when none; a text of ``contracts.observation.is_site``.
        estimated: whether the device says it estimated the value.
        panel: LOINC code of the panel it came in, empty when alone.
        position: index among the message's readings; components of one panel share it.
        path: JSON path of it in the payload, for errors.
    """

    code: str
    value: float
    unit: str
    time: int
    sequence: int | None
    site: str
    estimated: bool
    panel: str
    position: int
    path: str


class Warned(NamedTuple):
    """Something that was left aside without harm to the readings.

    Attributes:
        code: what it is.
        words: for the device's maker.
        field: path.
    """

    code: Code
    words: str
    field: str


class Decoded(msgspec.Struct, frozen=True):
    """A message that could be read.

    Attributes:
        message_id: the envelope's id, or None.
        test: whether the device says that this is a test.
        readings: at least one.
        warnings: what was left aside.
    """

    message_id: str | None
    test: bool
    readings: list[Reading]
    warnings: tuple[Warned, ...] = ()
