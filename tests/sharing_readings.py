"""Readings for the tests of sharing."""

from __future__ import annotations

from catalogue.registry import BY_CODE
from contracts.ids import observation_id
from contracts.observation import Observation

EFFECTIVE_AT = 1_795_000_000_123_456
SECOND = 1_000_000
ORG = "clinic-secret"


def device_of(subject: str) -> str:
    """Name the device a subject has on loan in these tests."""
    return f"device-secret-{subject}"


def reading(
    vital: str,
    value: float,
    *,
    unit: str | None = None,
    subject: str = "p-secret",
    device: str = "",
    site: str = "",
    at: int = EFFECTIVE_AT,
    sequence: int = 7,
    quality: int = 0,
    message: int = 0,
) -> Observation:
    """Make a reading that was measured at an instant and arrived a second later; without a device, of the subject's own."""
    device = device or device_of(subject)
    return Observation(
        id=observation_id(ORG, device, vital, site, at, sequence),
        org=ORG,
        device=device,
        subject=subject,
        vital=vital,
        site=site,
        value=value,
        unit=BY_CODE[vital].unit if unit is None else unit,
        device_time=at,
        effective_at=at,
        received_at=at + SECOND,
        sequence=sequence,
        quality=quality,
        message=message,
        panel=BY_CODE[vital].panel,
    )
