"""Readings as FHIR R4 Observations for one app, under that app's pseudonyms. Pure.

A vital that the catalogue lists under a panel is always shown as a component of the panel's Observation, also where it came
alone, as the FHIR vital-signs profiles demand. The same readings give the same Observation, byte for byte, on every channel.

Source: HL7 FHIR R4 (4.0.1) Observation and its vital-signs profiles; MDC codes as the HL7 Personal Health Device guide adds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any

import orjson

from catalogue.registry import BY_CODE, PANEL_BY_CODE
from catalogue.vital import Panel, Vital
from contracts.ids import observation_id
from contracts.instants import to_text
from contracts.observation import Observation, Quality
from sharing.pseudonyms import AppPseudonyms

Resource = dict[str, Any]
CONTENT_TYPE = "application/fhir+json"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
MDC = "urn:iso:std:iso:11073:10101"
DEVICE_SYSTEM = "urn:agora:device"
"""Namespace of the pseudonymous device identifier."""
QUALITY_SYSTEM = "urn:agora:reading-quality"
"""Code system of the tags that say how far to trust a reading; its codes are the keys of ``QUALITY_TAGS``' values."""
QUALITY_TAGS: dict[Quality, tuple[str, str]] = {
    Quality.IMPLAUSIBLE: ("implausible", "Outside what is physiologically possible"),
    Quality.CLOCK_SUSPECT: ("clock-suspect", "The device's clock may be wrong"),
    Quality.LATE: ("late", "Arrived long after it was measured"),
    Quality.ESTIMATED: ("estimated", "Estimated by the device, not measured"),
    Quality.CLOCK_CORRECTED: ("clock-corrected", "The time was corrected for the device's clock"),
}
_TEST_DATA = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST", "display": "test health data"}
_CATEGORY = [
    {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                "code": "vital-signs",
                "display": "Vital Signs",
            }
        ]
    }
]
# Whether a component was not measured or is not shared, the app cannot tell: the reason is the same.
_ABSENT = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown", "display": "Unknown"}]
}


def panel_of(vital: str) -> Panel | None:
    """Give the panel under which a vital is shown, or None where it stands alone.

    Args:
        vital: canonical LOINC code.
    """
    return PANEL_BY_CODE.get(BY_CODE[vital].panel)


def group(observations: Iterable[Observation]) -> list[list[Observation]]:
    """Put together what is shown as one Observation.

    Args:
        observations: readings of one subject, in any order; all that were measured together must be among them, and
            on an app's topic nothing else: there, the readings of one message.

    Returns:
        One list per Observation, in the order of the first reading of each; components in the order of their panel.
    """
    groups: dict[object, list[Observation]] = {}
    for reading in observations:
        panel = panel_of(reading.vital)
        key: object = reading.id
        if panel is not None:
            key = (panel.code, reading.subject, reading.org, reading.device, reading.site, reading.device_time, reading.sequence)
        members = groups.setdefault(key, [])
        if all(member.id != reading.id for member in members):
            members.append(reading)
    for members in groups.values():
        if len(members) > 1:
            order = panel_of(members[0].vital)
            assert order is not None
            members.sort(key=lambda member: order.components.index(member.vital))
    return list(groups.values())


def identity(readings: Sequence[Observation]) -> bytes:
    """Give the inner id of what one Observation shows.

    Args:
        readings: one group of ``group``.

    Returns:
        16 bytes: the reading's own id; for a panel an id over its identity and which components are shown, so that the same id
        always means the same content.
    """
    first = readings[0]
    panel = panel_of(first.vital)
    if panel is None:
        return first.id
    shown = observation_id(first.org, first.device, panel.code, first.site, first.device_time, first.sequence)
    return blake2b(shown + ",".join(reading.vital for reading in readings).encode(), digest_size=16).digest()


def resource(readings: Sequence[Observation], pseudonyms: AppPseudonyms) -> Resource:
    """Make the Observation of one reading, or of a panel's components.

    Args:
        readings: one group of ``group``, reduced to what the app may see; not empty.
        pseudonyms: the app's.

    Returns:
        A FHIR R4 Observation as JSON objects. Parts are shared between calls: treat it as read-only.
    """
    first = readings[0]
    panel = panel_of(first.vital)
    quality = 0
    for reading in readings:
        quality |= reading.quality
    made: Resource = {
        "resourceType": "Observation",
        "id": pseudonyms.reading(identity(readings)),
        **_meta(panel.profile if panel else BY_CODE[first.vital].profile, quality),
        "status": "final",
        "category": _CATEGORY,
        "code": _panel_code(panel.code) if panel else _code(first.vital),
        "subject": {"reference": f"Patient/{pseudonyms.subject(first.subject)}"},
        "effectiveDateTime": to_text(first.effective_at),
        "issued": to_text(max(reading.received_at for reading in readings)),
        "device": {"identifier": {"system": DEVICE_SYSTEM, "value": pseudonyms.device(first.org, first.device)}},
    }
    if first.site:
        made["bodySite"] = {"text": first.site}
    if panel:
        made["component"] = _components(readings, panel)
    else:
        made["valueQuantity"] = quantity(first.value, first.unit)
    return made


def quantity(value: float, unit: str) -> Resource:
    """Write a value with its UCUM unit; a whole number without decimals, which FHIR would read as precision."""
    return {"value": int(value) if value.is_integer() else value, "unit": unit, "system": UCUM, "code": unit}


def encode(made: Resource) -> bytes:
    """Write a resource as JSON in UTF-8."""
    return orjson.dumps(made)


def _components(readings: Sequence[Observation], panel: Panel) -> list[Resource]:
    by_vital = {reading.vital: reading for reading in readings}
    components: list[Resource] = []
    for vital in panel.components:
        reading = by_vital.get(vital)
        if reading is not None:
            components.append({"code": _code(vital), "valueQuantity": quantity(reading.value, reading.unit)})
        elif vital in panel.required:
            components.append({"code": _code(vital), "dataAbsentReason": _ABSENT})
    return components


@cache
def _meta(profile: str, quality: int) -> Resource:
    meta: Resource = {}
    if profile:
        meta["profile"] = [profile]
    if quality & Quality.TEST_DATA:
        meta["security"] = [_TEST_DATA]
    tags = [
        {"system": QUALITY_SYSTEM, "code": code, "display": display}
        for flag, (code, display) in QUALITY_TAGS.items()
        if quality & flag
    ]
    if tags:
        meta["tag"] = tags
    return {"meta": meta} if meta else {}  # FHIR has no empty objects


@cache
def _code(vital: str) -> Resource:
    entry: Vital = BY_CODE[vital]
    coding = [{"system": LOINC, "code": entry.code, "display": entry.display}]
    coding += [{"system": LOINC, "code": code} for code in entry.fhir_codes]
    return _concept(coding, entry.mdc, entry.display)


@cache
def _panel_code(code: str) -> Resource:
    panel = PANEL_BY_CODE[code]
    return _concept([{"system": LOINC, "code": panel.code, "display": panel.display}], panel.mdc, panel.display)


def _concept(coding: list[dict[str, str]], mdc: int, text: str) -> Resource:
    if mdc:
        coding.append({"system": MDC, "code": str(mdc)})
    return {"coding": coding, "text": text}
