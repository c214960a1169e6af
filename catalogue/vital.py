"""The shape of a catalogue entry for a vital sign."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Default alert limits of a vital, in its canonical unit, for an adult at home; rules for a subject override them.

    Attributes:
        low: raise below this, or None.
        high: raise above this, or None.
        critical_low: critical below this, or None.
        critical_high: critical above this, or None.
        hysteresis: how far inside the limit a value must be before the alert resolves.
        persistence_seconds: how long values must stay outside before the alert is raised.
        source: where the limits come from.
    """

    low: float | None = None
    high: float | None = None
    critical_low: float | None = None
    critical_high: float | None = None
    hysteresis: float = 0.0
    persistence_seconds: float = 0.0
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Vital:
    """One vital sign.

    Attributes:
        code: canonical LOINC code.
        display: LOINC's name for people.
        short: a few letters for tables.
        unit: canonical UCUM unit; values are stored in it.
        accepted_units: further UCUM units a device may send.
        plausible: lowest and highest value that can be true, canonical unit; outside is flagged, not refused.
        aliases: further LOINC codes accepted for the same quantity.
        fhir_codes: LOINC codes a FHIR Observation carries beside ``code`` (a profile's "magic" code).
        profile: canonical URL of the FHIR R4 profile its Observation meets, empty where there is none.
        mdc: ISO/IEEE 11073-10101 code, 0 where there is none.
        panel: LOINC code of the panel it is a component of, empty when it stands alone.
        limits: default alert limits, or None for no alert.
        example: a typical value, for documentation, simulation and tests.
        source: where codes and ranges come from.
    """

    code: str
    display: str
    short: str
    unit: str
    accepted_units: tuple[str, ...] = ()
    plausible: tuple[float, float]
    aliases: tuple[str, ...] = ()
    fhir_codes: tuple[str, ...] = ()
    profile: str = ""
    mdc: int = 0
    panel: str = ""
    limits: Limits | None = None
    example: float
    source: str

    @property
    def units(self) -> tuple[str, ...]:
        """Every unit a device may send, the canonical one first."""
        return (self.unit, *self.accepted_units)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A group of vitals that are measured together and shown as one Observation with components.

    Attributes:
        code: LOINC code.
        display: LOINC's name.
        components: LOINC codes it may hold.
        required: components the FHIR profile demands; missing ones are written with a reason.
        profile: canonical URL of the FHIR R4 profile.
        mdc: ISO/IEEE 11073-10101 code.
        source: where this comes from.
    """

    code: str
    display: str
    components: tuple[str, ...]
    required: tuple[str, ...] = field(default=())
    profile: str = ""
    mdc: int = 0
    source: str
