"""From a code and unit as sent to the vital, its canonical unit and its plausible range; reduced once to numbers. Pure."""

from __future__ import annotations

from typing import NamedTuple

from catalogue.formats.decoded import Reading
from catalogue.registry import BY_CODE, PANEL_BY_CODE, VITALS
from catalogue.units import DECIMALS, conversion_for, ucum_parser
from contracts.errors import Code, Rejected
from contracts.ids import identity_part


class Judgement(NamedTuple):
    """How to take a reading of one code and unit.

    Attributes:
        vital: canonical LOINC code.
        unit: canonical UCUM unit.
        same: True where no conversion is needed.
        scale: ``canonical = scale * sent + offset``, rounded to ``catalogue.units.DECIMALS``.
        offset: likewise.
        low: lowest plausible value, canonical unit.
        high: highest plausible value.
        identity: the vital as it stands in the identity of a reading.
    """

    vital: str
    unit: str
    same: bool
    scale: float
    offset: float
    low: float
    high: float
    identity: bytes

    def convert(self, value: float) -> float:
        """Convert a sent value to the canonical unit, rounded so that a resend is equal bit for bit.

        Args:
            value: as sent.

        Returns:
            The value; infinite where it overflows.
        """
        return value if self.same else round(self.scale * value + self.offset, DECIMALS)


_known: dict[tuple[str, str, str], Judgement] = {}
"""By code, unit and panel as sent; only accepted ones, so that it is bounded by the catalogue."""


def judge(reading: Reading) -> Judgement:
    """Look a reading up in the catalogue.

    Args:
        reading: as decoded.

    Returns:
        How to take it.

    Raises:
        Rejected: when code, unit or panel is not one of the catalogue's.
    """
    key = (reading.code, reading.unit, reading.panel)
    found = _known.get(key)
    if found is None:
        found = _known[key] = _judge(reading)
    return found


def prepare() -> None:
    """Work out every accepted combination: the first conversion loads the unit tables, half a second nobody should wait for."""
    for vital in VITALS:
        for code in (vital.code, *vital.aliases):
            for unit in vital.units:
                for panel in {"", vital.panel}:
                    judge(Reading(code, 0.0, unit, 0, None, "", False, panel, 0, "$"))
    ucum_parser()


def _judge(reading: Reading) -> Judgement:
    field = f"{reading.path}.code"
    shown = reading.code[:32]
    vital = BY_CODE.get(reading.code)
    if vital is None:
        if reading.code in PANEL_BY_CODE:
            raise Rejected(Code.PANEL_INVALID, f"{shown} is a panel: send its 'components'", field)
        raise Rejected(Code.VITAL_UNKNOWN, f"code '{shown}' is not a vital of the catalogue", field)
    if reading.panel:
        panel = PANEL_BY_CODE.get(reading.panel)
        if panel is None:
            whole = f"{reading.path.rpartition('.components')[0]}.code"
            raise Rejected(Code.PANEL_INVALID, f"code '{reading.panel[:32]}' is not a panel of the catalogue", whole)
        if vital.code not in panel.components:
            raise Rejected(Code.PANEL_INVALID, f"{shown} is not a component of {panel.code} ({panel.display})", field)
    conversion = conversion_for(vital, reading.unit, f"{reading.path}.unit")
    low, high = vital.plausible
    same = conversion.scale == 1.0 and conversion.offset == 0.0
    return Judgement(vital.code, vital.unit, same, conversion.scale, conversion.offset, low, high, identity_part(vital.code))
