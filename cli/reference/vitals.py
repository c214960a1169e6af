"""``vitals.md``: every vital sign the catalogue knows."""

from __future__ import annotations

from catalogue.registry import BY_CODE, PANELS, VITALS
from catalogue.vital import Vital
from cli.reference.markdown import code, codes, number, page, table

ABOUT = """
Values are stored in the unit in bold; a device may send any unit of the row and is refused any other. A value outside
the plausible range is stored and flagged `implausible`, never alerted on. One entry in `catalogue/entries/` makes a row
here. Limits are defaults for an adult at home, overridden by rules for a subject. They are not clinical advice.
"""


def render() -> str:
    """Write the page."""
    return page(
        "Vital signs",
        ABOUT,
        "## Codes, units and ranges",
        table(("LOINC", "Name", "Short", "Units (UCUM)", "Plausible", "Example", "MDC", "Panel"), map(_row, VITALS)),
        "## Default alert limits",
        table(
            ("Vital", "Critical below", "Low below", "High above", "Critical above", "Hysteresis", "Persistence", "Source"),
            (_limits(vital) for vital in VITALS if vital.limits is not None),
        ),
        "## Panels",
        "Apps see a panel as one FHIR Observation; a required component that is missing is shown with a reason.",
        table(
            ("LOINC", "Name", "Components", "Required", "MDC", "FHIR profile", "Source"),
            (
                (
                    code(panel.code),
                    panel.display,
                    ", ".join(f"{code(one)} {BY_CODE[one].short}" for one in panel.components),
                    codes(panel.required),
                    mdc(panel.mdc),
                    _profile(panel.profile),
                    panel.source,
                )
                for panel in PANELS
            ),
        ),
        "## Other codes, profiles and sources",
        table(
            ("Vital", "Also accepted", "Shown beside in FHIR", "FHIR R4 profile", "Source"),
            (
                (_name(vital), codes(vital.aliases), codes(vital.fhir_codes), _profile(vital.profile), vital.source)
                for vital in VITALS
            ),
        ),
    )


def mdc(value: int) -> str:
    """Write an ISO/IEEE 11073-10101 code with its partition and term, nothing for none."""
    return f"{value} ({value >> 16}:{value & 0xFFFF})" if value else ""


def _row(vital: Vital) -> tuple[str, ...]:
    units = ", ".join([f"**{code(vital.unit)}**", *(code(unit) for unit in vital.accepted_units)])
    low, high = vital.plausible
    plausible = f"{number(low)} to {number(high)}"
    return (
        code(vital.code), vital.display, vital.short, units, plausible, number(vital.example), mdc(vital.mdc), code(vital.panel),
    )  # fmt: skip


def _limits(vital: Vital) -> tuple[str, ...]:
    limits = vital.limits
    assert limits is not None
    marks = (limits.critical_low, limits.low, limits.high, limits.critical_high)
    return (
        f"{_name(vital)}, {code(vital.unit)}",
        *(number(mark) for mark in marks),
        number(limits.hysteresis),
        f"{number(limits.persistence_seconds)} s" if limits.persistence_seconds else "",
        limits.source,
    )


def _name(vital: Vital) -> str:
    return f"{code(vital.code)} {vital.short}"


def _profile(url: str) -> str:
    return f"[{url.rsplit('/', 1)[-1]}]({url})" if url else ""
