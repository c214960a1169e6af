"""The registry of vitals: every entry of ``catalogue.entries``, found by code, checked once at import."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from importlib import import_module
from types import MappingProxyType

from catalogue import entries
from catalogue.vital import Panel, Vital


def _collect() -> tuple[tuple[Vital, ...], tuple[Panel, ...]]:
    vitals: list[Vital] = []
    panels: list[Panel] = []
    for found in pkgutil.iter_modules(entries.__path__):
        module = import_module(f"{entries.__name__}.{found.name}")
        vitals += module.VITALS
        panels += getattr(module, "PANELS", ())
    return tuple(vitals), tuple(panels)


def index(vitals: Iterable[Vital]) -> Mapping[str, Vital]:
    """Map every code, aliases included, to its vital.

    Args:
        vitals: the entries.

    Returns:
        A read-only mapping from LOINC code to entry.

    Raises:
        ValueError: when two entries claim the same code.
    """
    found: dict[str, Vital] = {}
    for vital in vitals:
        for code in (vital.code, *vital.aliases):
            if code in found:
                raise ValueError(f"LOINC {code} is claimed by '{found[code].display}' and '{vital.display}'")
            found[code] = vital
    return MappingProxyType(found)


VITALS, PANELS = _collect()
BY_CODE: Mapping[str, Vital] = index(VITALS)
"""From any accepted LOINC code to its vital."""
PANEL_BY_CODE: Mapping[str, Panel] = MappingProxyType({panel.code: panel for panel in PANELS})
