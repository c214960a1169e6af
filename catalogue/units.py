"""UCUM units: which text is one, and how to convert between two of the same kind.

Parsing and factors come from ucumvert and Pint; a conversion is reduced once to ``scale * value + offset``, since the hot path
must not build quantities.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, NamedTuple

from catalogue.vital import Vital
from contracts.errors import Code, Rejected

DECIMALS = 6
"""Converted values are rounded to this many decimals, far below any resolution, so that a resend is equal bit for bit."""

LONGEST_JUDGED = 16
"""Characters; no vital is sent in a longer unit, and to parse one takes milliseconds that a flood of them would add up."""
HINTS = {
    "F": "[degF]",
    "°F": "[degF]",
    "degF": "[degF]",
    "C": "Cel",
    "°C": "Cel",
    "degC": "Cel",
    "bpm": "/min",
    "BPM": "/min",
    "1/min": "/min",
    "mmHg": "mm[Hg]",
    "percent": "%",
    "lb": "[lb_av]",
    "lbs": "[lb_av]",
    "in": "[in_i]",
    "inch": "[in_i]",
    "steps": "{steps}",
    "kcals": "kcal",
    "l/min": "L/min",
}
"""What devices say and mean."""


class Conversion(NamedTuple):
    """``canonical = scale * sent + offset``."""

    scale: float
    offset: float

    def apply(self, value: float) -> float:
        """Convert a value."""
        return round(self.scale * value + self.offset, DECIMALS)


@cache
def _registry() -> Any:
    from ucumvert import PintUcumRegistry  # half a second to build: only processes that convert pay for it

    return PintUcumRegistry()


@cache
def ucum_parser() -> Any:
    """Give the parser of UCUM; to read its grammar takes 25 ms, which no message must pay for."""
    from ucumvert import get_ucum_parser

    return get_ucum_parser()


@lru_cache(maxsize=1024)
def is_ucum(unit: str) -> bool:
    """Tell whether a text is a UCUM unit (case-sensitive form)."""
    from lark.exceptions import LarkError

    try:
        ucum_parser().parse(unit)
    except LarkError:
        return False
    return True


@cache
def conversion(sent: str, canonical: str) -> Conversion:
    """Give the conversion from one UCUM unit to another.

    Args:
        sent: unit of the device's value.
        canonical: unit to store.

    Returns:
        Scale and offset; identity for equal units and for units that differ in an annotation only.

    Raises:
        ValueError: when one cannot be converted to the other.
    """
    if sent == canonical:
        return Conversion(1.0, 0.0)
    registry = _registry()
    try:
        source, target = (registry.from_ucum(unit).units for unit in (sent, canonical))
        at_zero = float(registry.Quantity(0.0, source).to(target).magnitude)
        at_thousand = float(registry.Quantity(1000.0, source).to(target).magnitude)
    except Exception as error:  # Pint and ucumvert raise a dozen kinds, all meaning the same here
        raise ValueError(f"{sent} cannot be converted to {canonical}") from error
    return Conversion((at_thousand - at_zero) / 1000.0, at_zero)


def conversion_for(vital: Vital, unit: str, field: str = "") -> Conversion:
    """Give the conversion of a sent unit to a vital's canonical one.

    Args:
        vital: the catalogue's entry.
        unit: as the device sent it.
        field: path for the error.

    Returns:
        The conversion.

    Raises:
        Rejected: ``unit-unknown`` when the text is not UCUM, ``unit-not-allowed`` when it is but the vital is not sent in it.
    """
    if unit in vital.units:
        return conversion(unit, vital.unit)
    allowed = ", ".join(vital.units)
    hint = HINTS.get(unit)
    meant = f": did you mean {hint}?" if hint in vital.units else f"; {vital.display} is sent in {allowed}"
    shown = "".join(one if one.isprintable() else "?" for one in unit[:32])  # it is shown on people's terminals
    if len(unit) > LONGEST_JUDGED:
        raise Rejected(Code.UNIT_UNKNOWN, f"unit '{shown}' is longer than any this platform knows{meant}", field)
    if is_ucum(unit):
        raise Rejected(Code.UNIT_NOT_ALLOWED, f"unit '{shown}' is not one {vital.display} may be sent in{meant}", field)
    raise Rejected(Code.UNIT_UNKNOWN, f"unit '{shown}' is not UCUM{meant}", field)
