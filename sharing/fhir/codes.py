"""From the codes of a FHIR search to vitals of the catalogue, aliases, panels and IEEE 11073 codes included."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from catalogue.registry import BY_CODE, PANEL_BY_CODE, PANELS, VITALS
from sharing.fhir.problem import SearchProblem

LOINC = "http://loinc.org"
MDC = "urn:iso:std:iso:11073:10101"


@cache
def _codes_by_system() -> Mapping[str, Mapping[str, frozenset[str]]]:
    """Map system and code to canonical vitals. A component's code means its whole panel, as our Observations show it."""
    loinc: dict[str, frozenset[str]] = {}
    mdc: dict[str, frozenset[str]] = {}
    for code, vital in BY_CODE.items():
        loinc[code] = frozenset(PANEL_BY_CODE[vital.panel].components) if vital.panel else frozenset({vital.code})
    for vital in VITALS:
        for code in vital.fhir_codes:
            loinc.setdefault(code, loinc[vital.code])
        if vital.mdc:
            mdc[str(vital.mdc)] = loinc[vital.code]
    for panel in PANELS:
        loinc[panel.code] = frozenset(panel.components)
        if panel.mdc:
            mdc[str(panel.mdc)] = loinc[panel.code]
    return MappingProxyType({LOINC: loinc, MDC: mdc})


def vitals_of(tokens: str) -> frozenset[str]:
    """Read one value of the parameter ``code``.

    Args:
        tokens: ``code``, ``system|code`` or ``system|``, several separated by commas, of which any may match.

    Returns:
        Canonical LOINC codes of vitals; none for codes the catalogue does not have, which is no error in FHIR.

    Raises:
        SearchProblem: an empty value.
    """
    found: set[str] = set()
    for token in tokens.split(","):
        found |= _vitals_of_token(token.strip())
    return frozenset(found)


def _vitals_of_token(token: str) -> frozenset[str]:
    system, bar, code = token.rpartition("|")
    if not code and not system:
        raise SearchProblem("code is empty: give a LOINC code, as in code=8867-4 or code=http://loinc.org|8867-4")
    known = _codes_by_system()
    if not bar:
        return frozenset().union(*(codes.get(code, frozenset()) for codes in known.values()))
    codes = known.get(system, {})
    return codes.get(code, frozenset()) if code else frozenset().union(*codes.values())
